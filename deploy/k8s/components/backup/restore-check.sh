#!/usr/bin/env bash
# Restores the newest dump of BACKUP_FOLDER into a PostgreSQL of its own below SCRATCH, and counts what came back.
#
#   BACKUP_FOLDER=/backups SCRATCH=/scratch restore-check.sh
#
# MINIMUM_ROWS (1) is what public.people must have at least.
set -euo pipefail
# shellcheck source=deploy/k8s/components/backup/common.sh
. "$(dirname "$0")/common.sh"
: "${SCRATCH:?an empty folder with room for the database}"

newest=$(find "$BACKUP_FOLDER" -maxdepth 1 -name "$DATABASE_NAME-*.dump" | sort | tail -1)
[ -n "$newest" ] || { echo "no dump of $DATABASE_NAME in $BACKUP_FOLDER" >&2; exit 1; }
(cd "$BACKUP_FOLDER" && sha256sum --check --quiet "$(basename "$newest").sha256")

export PGHOST=$SCRATCH PGUSER=postgres
unset PGPASSWORD PGPORT PGDATABASE
initdb --pgdata="$SCRATCH/data" --username=postgres --auth=trust >/dev/null
pg_ctl --pgdata="$SCRATCH/data" --log="$SCRATCH/log" --wait --options="-c listen_addresses='' -c unix_socket_directories='$SCRATCH' -c fsync=off" start >/dev/null
trap 'pg_ctl --pgdata="$SCRATCH/data" --mode=immediate stop >/dev/null; rm -rf "$SCRATCH/data"' EXIT
createdb restored
pg_restore --dbname=restored --no-owner --no-privileges --exit-on-error "$newest"
rows=$(psql --no-align --tuples-only --command='select count(*) from people' restored)
[ "$rows" -ge "${MINIMUM_ROWS:-1}" ] || { echo "$newest: $rows people came back, ${MINIMUM_ROWS:-1} were expected" >&2; exit 1; }
echo "$newest: restored, $rows people"
push titanic_restore_check_last_success_timestamp_seconds 'When a backup was last restored to prove that it can be.'
