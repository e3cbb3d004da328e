#!/bin/bash
# Once, when the database is made: the exporter's role, which may see statistics and no record.
set -euo pipefail
psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -v "password=$(cat /run/secrets/monitor)" <<'SQL'
create role monitor login password :'password' in role pg_monitor;
SQL
