# shellcheck shell=bash
# Shared by backup.sh and restore-check.sh.

: "${BACKUP_FOLDER:?where the dumps are}"
DATABASE_NAME=${DATABASE_NAME:-titanic}

# push METRIC HELP: reports a success to the Pushgateway. A failed report does not fail the backup.
push() {
  [ -n "${PUSHGATEWAY:-}" ] || return 0
  local body status=
  body=$(printf '# HELP %s %s\n# TYPE %s gauge\n%s %s\n' "$1" "$2" "$1" "$1" "$(date +%s)")$'\n'
  if exec 3<>"/dev/tcp/${PUSHGATEWAY%:*}/${PUSHGATEWAY##*:}"; then
    printf 'POST /metrics/job/titanic-backup/database/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' \
      "$DATABASE_NAME" "$PUSHGATEWAY" "${#body}" "$body" >&3
    IFS= read -r -t 10 status <&3 || true
    exec 3>&-
  fi
  [[ "$status" == HTTP/1.?\ 20* ]] || echo "warning: the push gateway $PUSHGATEWAY did not take $1: ${status:-no answer}" >&2
}
