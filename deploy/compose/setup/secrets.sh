#!/bin/sh
# Makes every certificate and secret of the system, once: what is there stays. Each service gets a folder of its own, which
# is a volume of its own, so that none sees another's keys. Certificates end after 825 days. To renew them, and nothing else:
#   docker compose run --rm --entrypoint sh secrets -c 'rm -f /out/*/server.key /out/*/client.key /out/*/proxy.key; secrets.sh'
#   docker compose restart nats consul temporal temporal-ui
# Never `docker compose down -v`: it deletes the primary's zones and DNSSEC keys.
set -eu
umask 077
out=/out
ca=$out/ca
days=825

new_ca() { # FILE NAME
  [ -e "$ca/$1.key" ] && return
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$2" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
    -keyout "$ca/$1.key.new" -out "$ca/$1.crt"
  mv "$ca/$1.key.new" "$ca/$1.key"
}

# issue CA FOLDER FILE NAME USES SANS: a certificate, its key, and the CA's certificate beside them as ca.crt. The uses
# matter: a server's certificate opens no door as a client.
issue() {
  dir=$out/$2
  [ -e "$dir/$3.key" ] && return
  printf 'subjectAltName=%s\nextendedKeyUsage=%s\nkeyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:FALSE\n' "$6" "$5" >/tmp/ext
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$4" -keyout "$dir/$3.key.new" -out /tmp/csr
  openssl x509 -req -in /tmp/csr -CA "$ca/$1.crt" -CAkey "$ca/$1.key" -days $days -extfile /tmp/ext -out "$dir/$3.crt"
  mv "$dir/$3.key.new" "$dir/$3.key"
}

secret() { # FILE: 256 random bits
  [ -e "$out/$1" ] && return
  openssl rand -hex 32 >"$out/$1.new"
  mv "$out/$1.new" "$out/$1"
}

token() { # NAME: a Consul token, which is a UUID
  [ -e "$ca/consul-$1" ] || cat /proc/sys/kernel/random/uuid >"$ca/consul-$1"
}

new_ca ca 'pdns-distribute'
# Temporal's parts trust whatever this one signs; with one CA for all, any client's certificate would reach its history and
# matching services past the frontend.
new_ca temporal-ca 'pdns-distribute, Temporal'

issue ca nats server nats serverAuth DNS:nats,DNS:localhost,IP:127.0.0.1
issue ca consul server consul serverAuth,clientAuth DNS:consul,DNS:server.dc1.consul,DNS:localhost,IP:127.0.0.1
# The frontend's, which the parts of Temporal show each other too.
issue temporal-ca temporal server temporal serverAuth,clientAuth DNS:temporal,DNS:localhost,IP:127.0.0.1
issue ca temporal-ui client temporal-ui clientAuth DNS:temporal-ui
issue ca primary proxy api-proxy serverAuth DNS:host-primary,DNS:localhost,IP:127.0.0.1

for name in primary secondary-1 secondary-2 operator; do
  issue ca "$name" client "$name" clientAuth "DNS:$name" # NATS takes the name as the user, see nats.conf
  token "$name"
  cp "$ca/consul-$name" "$out/$name/consul-token"
done

for name in primary secondary-1 secondary-2; do
  secret "$name/pdns-api-key"
  printf 'api-key=%s\n' "$(cat "$out/$name/pdns-api-key")" >"$out/pdns-$name/api-key.conf"
done
cp "$out/primary/pdns-api-key" "$out/operator/pdns-api-key"
secret postgres/password
cp "$out/postgres/password" "$out/temporal/postgres-password"

token management
cp "$ca/consul-management" "$out/consul-acl/management"
for name in primary secondary-1 secondary-2 operator; do cp "$ca/consul-$name" "$out/consul-acl/$name"; done
[ -e "$ca/consul-gossip" ] || openssl rand -base64 32 >"$ca/consul-gossip"
cat >"$out/consul/secrets.json" <<JSON
{
  "encrypt": "$(cat "$ca/consul-gossip")",
  "acl": { "tokens": { "initial_management": "$(cat "$ca/consul-management")", "agent": "$(cat "$ca/consul-management")" } }
}
JSON

for name in nats consul consul-acl temporal temporal-ui primary secondary-1 secondary-2 operator; do cp "$ca/ca.crt" "$out/$name/ca.crt"; done
for name in temporal temporal-ui primary secondary-1 secondary-2 operator; do cp "$ca/temporal-ca.crt" "$out/$name/temporal-ca.crt"; done

own() { # USER FOLDER…: the users that the images run as
  user=$1; shift
  for name; do chown -R "$user:$user" "$out/$name"; done
}
own 65532 primary secondary-1 secondary-2 operator # distroless "nonroot"
own 953 pdns-primary pdns-secondary-1 pdns-secondary-2
own 1000 temporal temporal-ui
own 70 postgres
own 100 consul
