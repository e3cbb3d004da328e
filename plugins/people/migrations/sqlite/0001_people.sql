create table people (
  id integer primary key autoincrement,
  uuid text not null unique,
  survived integer not null check (survived in (0, 1)),
  passenger_class integer not null check (passenger_class between 1 and 3),
  name text not null check (length(name) between 1 and 200),
  sex text not null check (sex in ('male', 'female', 'other')),
  age real check (age between 0 and 150),
  siblings_or_spouses_aboard integer not null check (siblings_or_spouses_aboard between 0 and 100),
  parents_or_children_aboard integer not null check (parents_or_children_aboard between 0 and 100),
  fare real check (fare between 0 and 100000),
  ticket text,
  cabin text,
  embarked text check (embarked in ('C', 'Q', 'S')),
  version integer not null default 1,
  deleted_at text
);
