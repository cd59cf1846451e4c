#!/bin/sh
# Makes Consul's policies and tokens, those that are missing. A secondary may register itself and read what is registered; a
# primary besides registers its proxy. Secrets go to curl by file, never as an argument.
set -eu
umask 077
secrets=/secrets
api=https://consul:8501/v1

call() { # TOKEN-NAME METHOD PATH [BODY-FILE]
  printf 'X-Consul-Token: %s' "$(cat "$secrets/$1")" >/tmp/header
  set -- "$2" "$3" ${4:+--data-binary "@$4"}
  method=$1 path=$2; shift 2
  curl --silent --show-error --fail-with-body --max-time 10 --cacert "$secrets/ca.crt" -H @/tmp/header -X "$method" "$@" "$api$path"
}

grant() { # NAME RULES
  if call "$1" GET /acl/token/self >/dev/null 2>&1; then
    echo "$1: has its token"
    return
  fi
  printf '{"Name":"%s","Rules":"%s"}' "$1" "$2" >/tmp/policy
  call management GET "/acl/policy/name/$1" >/dev/null 2>&1 || call management PUT /acl/policy /tmp/policy >/dev/null
  printf '{"SecretID":"%s","Description":"%s","Policies":[{"Name":"%s"}]}' "$(cat "$secrets/$1")" "$1" "$1" >/tmp/token
  call management PUT /acl/token /tmp/token >/dev/null
  echo "$1: token made"
}

read_all='service_prefix \"\" { policy = \"read\" } node_prefix \"\" { policy = \"read\" } agent_prefix \"\" { policy = \"read\" }'
# The rule for an exact name goes before the one for a prefix.
grant primary "$read_all service_prefix \\\"pdns-\\\" { policy = \\\"write\\\" } service \\\"pdns-secondary\\\" { policy = \\\"read\\\" }"
grant secondary-1 "$read_all service \\\"pdns-secondary\\\" { policy = \\\"write\\\" }"
grant secondary-2 "$read_all service \\\"pdns-secondary\\\" { policy = \\\"write\\\" }"
grant operator "$read_all"
