create table people (
  id bigint generated always as identity primary key,
  uuid uuid not null unique,
  survived boolean not null,
  passenger_class smallint not null check (passenger_class between 1 and 3),
  name text not null check (char_length(name) between 1 and 200),
  sex text not null check (sex in ('male', 'female', 'other')),
  age double precision check (age between 0 and 150),
  siblings_or_spouses_aboard smallint not null check (siblings_or_spouses_aboard between 0 and 100),
  parents_or_children_aboard smallint not null check (parents_or_children_aboard between 0 and 100),
  fare double precision check (fare between 0 and 100000),
  ticket text,
  cabin text,
  embarked text check (embarked in ('C', 'Q', 'S')),
  version bigint not null default 1,
  deleted_at timestamp with time zone
);
