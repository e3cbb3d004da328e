-- Run once, on the leader: the role of the hosts, and the role by which PgBouncer looks up their password.
--
--   psql -h /var/run/postgresql -U postgres -v ON_ERROR_STOP=1 -f deploy/postgres/cluster/roles.sql
--
-- The passwords are those of the environment: database, pgbouncer.
\getenv database database
\getenv pgbouncer pgbouncer
create role titanic login password :'database';
create database titanic owner titanic;
create role pgbouncer login password :'pgbouncer';
\connect titanic
create schema pgbouncer authorization postgres;
create function pgbouncer.user_lookup(wanted text, out name text, out secret text) returns record
  language sql security definer set search_path = pg_catalog as
  $$ select rolname, rolpassword from pg_authid where rolname = wanted and rolcanlogin and not rolsuper $$;
revoke all on function pgbouncer.user_lookup(text) from public;
grant usage on schema pgbouncer to pgbouncer;
grant execute on function pgbouncer.user_lookup(text) to pgbouncer;
