# A private PostgreSQL 15 on a free loopback port. Sourced.
#   postgres_start FOLDER   sets POSTGRES_URL; the folder keeps the data
#   postgres_stop
# shellcheck shell=bash

POSTGRES_BIN=/usr/lib/postgresql/15/bin

# PostgreSQL refuses to run as root.
postgres_as() {
  if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

free_port() {
  python3 - <<'PY' 2>/dev/null || echo 25432
import random, socket
for port in random.sample(range(20000, 32000), 50):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(port)
        break
PY
}

postgres_start() {
  POSTGRES_DATA=$1
  if [ ! -f "$POSTGRES_DATA/PG_VERSION" ]; then
    mkdir -p "$POSTGRES_DATA"
    [ "$(id -u)" -ne 0 ] || chown postgres "$POSTGRES_DATA"
    if ! postgres_as test -w "$POSTGRES_DATA"; then
      echo "The user postgres cannot reach $POSTGRES_DATA; put this folder where every user may enter, or run this as another user than root." >&2
      return 1
    fi
    postgres_as $POSTGRES_BIN/initdb -D "$POSTGRES_DATA" -U titanic -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
  fi
  local port pid
  if pid=$(head -n 1 "$POSTGRES_DATA/postmaster.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null; then
    echo "PostgreSQL runs in $POSTGRES_DATA already (process $pid); its log is $POSTGRES_DATA/server.log." >&2
    return 1
  fi
  port=$(free_port)
  postgres_as $POSTGRES_BIN/pg_ctl -D "$POSTGRES_DATA" -w -t 60 -l "$POSTGRES_DATA/server.log" \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='$POSTGRES_DATA'" start >/dev/null
  postgres_as $POSTGRES_BIN/createdb -h 127.0.0.1 -p "$port" -U titanic titanic 2>/dev/null || true
  POSTGRES_URL="postgresql://titanic@127.0.0.1:$port/titanic"
  export POSTGRES_URL
}

postgres_stop() {
  postgres_as $POSTGRES_BIN/pg_ctl -D "$POSTGRES_DATA" -w -m fast stop >/dev/null
}
