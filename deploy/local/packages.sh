# Debian 12 packages, and how they are installed. Sourced by deploy/local/run and tests/run.
# shellcheck shell=bash

BUILD_PACKAGES=(g++ cmake ninja-build ccache pkg-config libpistache-dev libboost-dev libboost-filesystem-dev libsoci-dev libpq-dev
  libsqlite3-dev libssl-dev nlohmann-json3-dev libspdlog-dev libyaml-cpp-dev libcli11-dev libvalijson-dev libhiredis-dev
  prometheus-cpp-dev libcurl4-openssl-dev zlib1g-dev libbrotli-dev libzstd-dev)
# What tests/run needs beside them.
TEST_PACKAGES=(libgtest-dev libbenchmark-dev python3 python3-pytest python3-pytest-xdist python3-pytest-timeout postgresql-15 postgresql-client-15 binutils procps
  util-linux curl openssl shellcheck clang-format clang-tidy nginx-light wrk slowhttptest strace redis-server pgbouncer prometheus
  python3-prometheus-client prometheus-alertmanager prometheus-blackbox-exporter prometheus-postgres-exporter protobuf-compiler
  python3-protobuf python3-yaml python3-cryptography chromium zstd sqlmap wapiti python3-seccomp systemd iproute2 prometheus-pushgateway haproxy pgbackrest dpkg-dev
  patroni etcd-server docker-compose inotify-tools)
export BUILD_PACKAGES TEST_PACKAGES

# Installs those that are missing, and says so before it does.
install_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  echo "Installing from Debian: ${missing[*]}"
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Run this as root, or install sudo." >&2; return 1; }
    sudo=(sudo)
  fi
  "${sudo[@]}" apt-get update -q >/dev/null
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null
}

# What tests/node/package.json names, from npm. Twice: a registry that hiccups is no finding. The package manager writes this file last.
install_npm_packages() {
  if [ ! tests/node/node_modules/.package-lock.json -nt tests/node/package-lock.json ]; then
    echo "Installing from npm: what tests/node/package.json names"
    local npm=(npm --prefix tests/node ci --ignore-scripts --legacy-peer-deps --no-audit --no-fund --loglevel=error)
    "${npm[@]}" >/dev/null || "${npm[@]}" >/dev/null || return 1
  fi
}

# configure PRESET [cmake options]: silent where it succeeds.
configure() {
  local preset=$1
  shift
  cmake --preset "$preset" "$@" >"build-$preset.log" 2>&1 || { cat "build-$preset.log" >&2; rm -f "build-$preset.log"; return 1; }
  rm -f "build-$preset.log"
}

# build PRESET [cmake options]: configures where needed and builds.
build() {
  local preset=$1
  configure "$@" || return 1
  # On a terminal ninja counts its steps on one line.
  if [ -t 1 ]; then cmake --build --preset "$preset"; else cmake --build --preset "$preset" -- --quiet; fi
}
