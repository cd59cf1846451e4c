#!/usr/bin/env bash
# Sets up what the demo, the tests and the linters need, and only what is missing:
#   1. packages of the distribution (Debian or Ubuntu): PowerDNS, dig, sqlite3, …; needs root or sudo
#   2. Consul, the temporal and tctl commands, docker-compose and the linters, built from the versions pinned in go.mod,
#      into ${XDG_CACHE_HOME:-~/.cache}/pdns-distribute/tools
#   3. bin/stack and bin/pdns-distribute
# usage: stack/setup.sh demo|test|lint|vulncheck
set -euo pipefail

purpose=${1:-demo}
case $purpose in demo | test | lint | vulncheck) ;; *) echo "usage: stack/setup.sh demo|test|lint|vulncheck" >&2; exit 2 ;; esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pdns-distribute/tools
bin=$root/bin
# Everything here is pure Go. One setting for all of it, also for all checkouts, so that nothing is compiled twice.
export CGO_ENABLED=0 GOFLAGS
GOFLAGS="$(go env GOFLAGS 2>/dev/null || true) -trimpath"

say() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }
fail() { printf '\nsetup: %s\n' "$*" >&2; exit 1; }

# --- 1. packages -----------------------------------------------------------------------------------------------------

wanted_packages() {
  case $purpose in
    demo) echo pdns-server pdns-backend-sqlite3 pdns-backend-lmdb bind9-dnsutils sqlite3 curl ;;
    # gcc: the race detector; PostgreSQL: several primaries.
    test) echo pdns-server pdns-backend-sqlite3 pdns-backend-lmdb pdns-backend-pgsql postgresql bind9-dnsutils sqlite3 curl gcc libc6-dev ;;
  esac
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Debian starts a service when its package is installed. A nameserver on port 53 that nobody asked for must not be the
# price of a demo, so starting is forbidden meanwhile (policy-rc.d, Debian Policy 9.3.3) and not enabled for the next boot.
# PostgreSQL's package would also make a database cluster that starts at the next boot; createcluster.conf(5) forbids it.
install_script() {
  cat <<EOF
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
  meanwhile=/usr/sbin/policy-rc.d
fi
case " $* " in *" postgresql "*)
  no_cluster=/etc/postgresql-common/createcluster.d/pdns-distribute.conf
  mkdir -p "\${no_cluster%/*}" && echo 'create_main_cluster = false' >"\$no_cluster" ;;
esac
trap 'rm -f \$meanwhile \$no_cluster' EXIT
apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $*
case " $* " in *" pdns-server "*) if command -v systemctl >/dev/null; then systemctl disable pdns.service || true; fi ;; esac
EOF
}

install_packages() {
  local missing=() package
  if ! command -v dpkg-query >/dev/null; then
    for package in pdns_server dig sqlite3; do
      PATH=$PATH:/usr/sbin command -v "$package" >/dev/null || fail "$package is missing, and this is neither Debian nor Ubuntu. Install PowerDNS 4.7 or newer with its SQLite and LMDB backends, dig and sqlite3, then run this again."
    done
    return
  fi
  for package in $(wanted_packages); do installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  local run=(sh -s)
  if [ "$(id -u)" -ne 0 ]; then
    # With a terminal sudo may ask for the password; without one it must work by itself.
    if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
      fail "these packages are missing, and installing them needs root or sudo. As root, run
    apt-get update && apt-get install --no-install-recommends ${missing[*]}
(pdns-server starts a nameserver on port 53; the demo does not need it: systemctl disable --now pdns)
and then start this again."
    fi
    sudo -v
    run=(sudo sh -s)
  fi
  say "installing packages: ${missing[*]}"
  install_script "${missing[@]}" | "${run[@]}" >"$log" 2>&1 || { tail -n 30 "$log" >&2; fail "installing packages failed (above: the end of apt-get's output)"; }
}

# --- 2. tools --------------------------------------------------------------------------------------------------------

# go_build DIR OUT PACKAGE… builds all packages of one module at once into OUT, telling every 20 s how far it is.
go_build() {
  local dir=$1 out=$2; shift 2
  (cd "$dir" && exec go build -v -buildvcs=false -ldflags='-s -w' -o "$out/" "$@") >"$log" 2>&1 &
  local build=$! told=$SECONDS
  while kill -0 "$build" 2>/dev/null; do
    sleep 0.3
    if [ $((SECONDS - told)) -ge 20 ]; then
      told=$SECONDS
      say "… $(grep -vc '^go: ' "$log" || true) packages compiled, $(grep -c '^go: downloading' "$log" || true) modules downloaded"
    fi
  done
  wait "$build" || { grep -v '^[a-z0-9./_-]*$' "$log" | tail -n 30 >&2; fail "go build failed (above: the end of its output)"; }
}

# prefetch DIR PACKAGE… downloads what a later build needs while an earlier one compiles. Only a head start: the build
# itself downloads what is missing and tells of errors.
prefetch() { (cd "$root/$1" && go list -deps "${@:2}" >/dev/null 2>&1) & }

# tools MODULE-DIR NAME=PACKAGE… builds what the cache does not hold for exactly these go.mod, go.sum and Go version,
# and links it into bin/tools. Each program appears in the cache whole or not at all.
tools() {
  local module=$1 pair missing=(); shift
  local key version
  version=$(cd "$root/$module" && go env GOVERSION GOOS GOARCH | tr '\n' '-')
  key=$(cd "$root/$module" && cat go.mod go.sum | sha256sum | cut -c1-12)
  local dir=$cache/${module//\//-}-$version$key
  mkdir -p "$dir" "$bin/tools"
  for pair in "$@"; do [ -x "$dir/${pair%%=*}" ] || missing+=("$pair"); done
  if [ ${#missing[@]} -gt 0 ]; then
    say "building ${missing[*]%%=*} from source (the first time this takes minutes; kept in $cache)"
    # All at once: one compiles while another is linked, which takes one core.
    go_build "$root/$module" "$work" "${missing[@]#*=}"
    for pair in "${missing[@]}"; do mv "$work/$(basename "${pair#*=}")" "$dir/.${pair%%=*}.$$" && mv "$dir/.${pair%%=*}.$$" "$dir/${pair%%=*}"; done
  fi
  touch "$dir"
  for pair in "$@"; do ln -sfn "$dir/${pair%%=*}" "$bin/tools/${pair%%=*}"; done
}

# --- 3. the whole ----------------------------------------------------------------------------------------------------

log=$(mktemp) work=
work=$(mktemp -d)
trap 'rm -rf "$log" "$work"; kill $(jobs -p) 2>/dev/null || true' EXIT
mkdir -p "$bin"

command -v go >/dev/null || fail "go is not on the PATH; install Go (https://go.dev/dl) and start this again"
install_packages
case $purpose in
  demo | test)
    servers=(consul=github.com/hashicorp/consul temporal=github.com/temporalio/cli/cmd/temporal)
    [ "$purpose" = demo ] || servers+=(docker-compose=github.com/docker/compose/v2/cmd)
    # The product first: it needs few modules, and compiles while those of the servers are downloaded.
    if [ ! -d "$cache" ]; then
      prefetch stack "${servers[@]#*=}" ./cmd/stack
      prefetch stack/tctl github.com/temporalio/tctl/cmd/tctl
    fi
    # Straight into bin: what is up to date there is not linked again.
    say "building bin/pdns-distribute"
    go_build "$root" "$bin" ./cmd/pdns-distribute
    tools stack "${servers[@]}"
    tools stack/tctl tctl=github.com/temporalio/tctl/cmd/tctl
    say "building bin/stack"
    go_build "$root/stack" "$bin" ./cmd/stack
    ;;
  lint)
    tools stack/lint golangci-lint=github.com/golangci/golangci-lint/v2/cmd/golangci-lint \
      workflowcheck=go.temporal.io/sdk/contrib/tools/workflowcheck
    ;;
  vulncheck) tools stack/lint govulncheck=golang.org/x/vuln/cmd/govulncheck ;;
esac
find "$cache" -mindepth 1 -maxdepth 1 -mtime +60 -exec rm -rf {} + # versions that no checkout has used for two months
say "set up for: $purpose"
