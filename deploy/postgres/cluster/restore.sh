# What `restore` does beside where Patroni runs the server; sourced by it. The other members are rewound, or made anew, by their own Patroni.
# shellcheck shell=bash
ctl() { (cd / && as_owner patronictl -c "${PATRONI:-/etc/patroni/config.yml}" "$@"); }
leader() { ctl list -f tsv | awk -F '\t' '$4 == "Leader" && $5 == "running" { print $1, $2 }'; }

before() {
  [ "$(ask 'select pg_is_in_recovery()')" = f ] || fail "This server does not lead: restore on the one that does ($(leader))."
  us=$(leader)
  [ -n "$us" ] || fail "Patroni knows no leader: patronictl list"
  ctl pause --wait # no other member takes the lead meanwhile
}

after() {
  read -r scope member <<<"$us"
  leads
  ctl restart --force "$scope" "$member" >/dev/null # by Patroni again, with its settings
  leads
  # A member checks whether it must be rewound only when its recovery settings change: it does not notice that the leader's history did.
  ctl edit-config --force --quiet -s "postgresql.recovery_conf.recovery_end_command='true # $(date -u +%Y%m%dT%H%M%SZ)'" "$scope"
  ctl resume --wait
}

leads() {
  local end=$((SECONDS + 120))
  until [ "$(leader)" = "$us" ]; do
    [ $SECONDS -lt $end ] || fail "Patroni does not say within 120 s that $us leads; once it does: patronictl resume"
    sleep 0.5
  done
}
