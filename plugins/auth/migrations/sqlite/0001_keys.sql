create table auth_keys (
  id text primary key not null check (length(id) = 16),
  name text not null check (length(name) between 1 and 100),
  hash text not null check (length(hash) = 64),
  scopes text not null,
  tenant text not null default '',
  created_by text not null,
  created_ms integer not null,
  lifetime_ms integer not null default 0,
  expires_ms integer not null default 0,
  revoked_ms integer not null default 0,
  last_used_ms integer not null default 0,
  changed_ms integer not null
);
create index auth_keys_changed on auth_keys (changed_ms);
