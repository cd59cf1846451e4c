#!/usr/bin/env bash
# Measures a whole system with many zones: the first check, which publishes all of them and brings them to two secondaries;
# a check with everything in sync; a full compare that fills a secondary anew; checks of content, in sync and with a fifth of the
# zones changed on a secondary; an idle minute. Run `stack/setup.sh test` first.
# usage: stack/scale.sh ZONES [DIR]
set -euo pipefail

zones=${1:?usage: stack/scale.sh ZONES [DIR]}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=${2:-$(mktemp -d /tmp/scale.XXXXXX)}
stack=$root/bin/stack
export STACK_BIN=$stack PDNS_DISTRIBUTE_BIN=$root/bin/pdns-distribute
trap '"$stack" down --dir "$dir" >/dev/null' EXIT

"$stack" up --dir "$dir" --free-ports >/dev/null 2>&1
# shellcheck source=/dev/null
. "$dir/env"
product="$PDNS_DISTRIBUTE_BIN --config $dir/config/primary.toml"

# cpu prints the CPU seconds that the system's processes have used so far: "name=seconds …".
cpu() {
  "$stack" ps --dir "$dir" | awk 'NR > 1 && $3 ~ /^[0-9]+$/ { print $1, $3 }' | while read -r name pid; do
    awk -v name="$name" -v hz="$(getconf CLK_TCK)" '{ printf "%s=%.2f ", name, ($14 + $15) / hz }' "/proc/$pid/stat"
  done
}
# used prints what they have used since an earlier cpu.
used() { # BEFORE
  { tr ' ' '\n' <<<"$1"; echo --; cpu | tr ' ' '\n'; } | awk -F= '/^--/ { after = 1; next } !NF { next } !after { b[$1] = $2; next }
    { d = $2 - b[$1]; total += d; printf "%s %.1f s, ", $1, d } END { printf "together %.1f s\n", total }'
}
measure() { # WHAT COMMAND…
  local what=$1 before began took code=0; shift
  before=$(cpu) began=$(date +%s%N)
  "$@" >"$dir/out" 2>&1 || code=$? # 1 is right where something is found
  took=$((($(date +%s%N) - began) / 100000000))
  printf '%s: %d.%d s, exit code %d\n  CPU: %s\n' "$what" $((took / 10)) $((took % 10)) $code "$(used "$before")"
  sed -e '/^run /d' -e 's/^/  /' "$dir/out" | cut -c1-200 | head -n 8
}
temporal() {
  "$root/bin/tools/temporal" "$@" -o json --address "$TEMPORAL_ADDRESS" --namespace "$TEMPORAL_NAMESPACE" \
    --tls-ca-path "$TEMPORAL_TLS_CA" --tls-cert-path "$TEMPORAL_TLS_CERT" --tls-key-path "$TEMPORAL_TLS_KEY" --tls-server-name localhost
}
# history prints the events and octets of the last run of a workflow, and those of the runs that it goes on from.
history() { # WORKFLOW
  local run='' described
  while
    described=$(temporal workflow describe -w "$1" ${run:+-r "$run"})
    grep -E '"history(Length|SizeBytes)"' <<<"$described" | tr -d '\n'
    run=$(temporal workflow show -w "$1" ${run:+-r "$run"} | grep -m 1 -o '"continuedExecutionRunId": "[^"]*"' | cut -d'"' -f4)
    test -n "$run"
  do printf '; before it '; done
  echo
}

# Each zone has an SOA, two NS and four more records.
sqlite3 "$dir/data/pdns-primary/pdns.sqlite3" <<EOF2
PRAGMA busy_timeout=60000; BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < $zones)
  INSERT INTO domains (name, type) SELECT printf('z%06d.scale.example', i), 'NATIVE' FROM n;
INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth) SELECT id, name, 'SOA', 'ns1.example.net hostmaster.example.net 1 10800 3600 604800 60', 300, 0, 0, 1 FROM domains;
INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth) SELECT id, name, 'NS', 'ns1.example.net', 300, 0, 0, 1 FROM domains;
INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth) SELECT id, name, 'NS', 'ns2.example.net', 300, 0, 0, 1 FROM domains;
INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth) SELECT id, 'www.' || name, 'A', '192.0.2.1', 300, 0, 0, 1 FROM domains;
INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth) SELECT id, 'mail.' || name, 'A', '192.0.2.2', 300, 0, 0, 1 FROM domains;
INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth) SELECT id, name, 'MX', 'mail.' || name, 300, 10, 0, 1 FROM domains;
INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth) SELECT id, name, 'TXT', '"v=spf1 mx -all"', 300, 0, 0, 1 FROM domains;
COMMIT;
EOF2
# shellcheck disable=SC2086 # the command and its flags
{
  measure "publish $zones zones and bring them to both secondaries" $product check
  until $product check >/dev/null 2>&1; do sleep 1; done
  measure "check of $zones zones in sync" $product check
  measure "check of $zones zones in sync" $product check
  echo "  history of the check: $(history health-check)"
  for n in 1 2; do
    "$stack" stop "pdns-secondary-$n" --dir "$dir" 2>/dev/null
    rm -rf "$dir/data/pdns-secondary-$n"
    "$stack" start "pdns-secondary-$n" --dir "$dir" 2>/dev/null
    measure "fill secondary-$n anew" $product resync --all --secondary "secondary-$n"
    echo "  history of the compare: $(history "reconcile-secondary/secondary-$n")"
  done
  measure "check of content" $product check --content
  echo "  history of the check of content: $(history content-check)"
  sqlite3 "$dir/data/pdns-secondary-1/pdns.sqlite3" "PRAGMA busy_timeout=60000; UPDATE records SET ttl = ttl + 1 WHERE type = 'MX' AND domain_id % 5 = 0" >/dev/null
  measure "check of content with a fifth of the zones changed on secondary-1" $product check --content
  echo "  history of the check of content: $(history content-check)"
  measure "an idle minute" sleep 60
}
