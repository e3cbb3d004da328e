create table auth_keys (
  id text primary key check (id ~ '^[0-9a-f]{16}$'),
  name text not null check (char_length(name) between 1 and 100),
  hash text not null check (char_length(hash) = 64),
  scopes text not null,
  tenant text not null default '',
  created_by text not null,
  created_ms bigint not null,
  lifetime_ms bigint not null default 0,
  expires_ms bigint not null default 0,
  revoked_ms bigint not null default 0,
  last_used_ms bigint not null default 0,
  changed_ms bigint not null
);
create index auth_keys_changed on auth_keys (changed_ms);
