#!/usr/bin/env bash
# Dumps the database into BACKUP_FOLDER, checks the dump, drops those older than BACKUP_KEEP_DAYS, tells the push gateway.
#
#   DATABASE_DIRECT_URL=postgresql://titanic@db:5432/titanic BACKUP_FOLDER=/backups backup.sh
#
# PASSWORD_FILE (/run/secrets/database) holds the password, PUSHGATEWAY is HOST:PORT. Exits with 0 where the dump is whole
# and on the disk; nothing is dropped before that.
set -euo pipefail
# shellcheck source=deploy/k8s/components/backup/common.sh
. "$(dirname "$0")/common.sh"
: "${DATABASE_DIRECT_URL:?the database, past every pooler}"
password=${PASSWORD_FILE:-/run/secrets/database}
if [ -s "$password" ]; then
  PGPASSWORD=$(<"$password")
  export PGPASSWORD
fi

file=$BACKUP_FOLDER/$DATABASE_NAME-$(date -u +%Y%m%dT%H%M%SZ).dump
part=$file.part
trap 'rm -f "$part"' EXIT
pg_dump --format=custom --no-owner --no-privileges --lock-wait-timeout=60s --file="$part" "$DATABASE_DIRECT_URL"
entries=$(pg_restore --list "$part" | grep -c 'TABLE DATA' || true)
[ "$entries" -gt 0 ] || { echo "the dump holds no table's data" >&2; exit 1; }
sync "$part"
mv "$part" "$file"
(cd "$BACKUP_FOLDER" && sha256sum "$(basename "$file")" >"$(basename "$file").sha256")
find "$BACKUP_FOLDER" -maxdepth 1 -name "$DATABASE_NAME-*.dump*" -mtime "+${BACKUP_KEEP_DAYS:-35}" -delete
echo "$file: $(stat -c %s "$file") bytes, data of $entries tables"
push titanic_backup_last_success_timestamp_seconds 'When the last backup succeeded.'
