package demo

import (
	"io"
	"strings"
	"text/template"
)

// guide is printed when the demo is up: where everything is, and what to try.
var guide = template.Must(template.New("guide").Parse(`
Where everything is
  API (PowerDNS's, over HTTPS)   {{.API_URL}}
  DNS                            primary {{.DNS_PRIMARY}}, secondaries {{.DNS_SECONDARIES}}
  Temporal's web UI              {{.TEMPORAL_UI_URL}} (read-only)
  Temporal, NATS, Consul         {{.TEMPORAL_ADDRESS}}, {{.NATS_URL}}, {{.CONSUL_HTTP_ADDR}} (TLS, authenticated)
  keys, certificates, addresses  {{.EnvFile}}
  configuration and logs         {{.STACK_DIR}}/config, {{.STACK_DIR}}/log

Try, in another shell
  . {{.EnvFile}}
  dig @{{.Secondary1.Host}} -p {{.Secondary1.Port}} www.demo.example +dnssec
  curl --cacert $API_CA -H "X-API-Key: $API_KEY" $API_URL/api/v1/servers/localhost/zones
  curl --cacert $API_CA -H "X-API-Key: $API_KEY" -X PATCH $API_URL/api/v1/servers/localhost/zones/demo.example. \
    -d '{"rrsets":[{"name":"www.demo.example.","type":"A","ttl":60,"changetype":"REPLACE","records":[{"content":"198.51.100.7"}]}]}'
  $PDNS_DISTRIBUTE_BIN status
  $PDNS_DISTRIBUTE_BIN resync demo.example
  $STACK_TOOLS/temporal workflow list
  $STACK_TOOLS/tctl workflow list --open
  $STACK_TOOLS/temporal workflow show -w sync-zone/demo.example.
  $STACK_BIN ps
  $STACK_BIN stop pdns-secondary-1       # and: start, kill, pause, resume, with any name that ps shows

`))

// Guide writes the addresses and the commands to try.
func Guide(out io.Writer, env map[string]string, envFile string) error {
	type endpoint struct{ Host, Port string }
	first, _, _ := strings.Cut(env["DNS_SECONDARIES"], ",")
	host, port, _ := strings.Cut(first, ":")
	fields := map[string]any{"EnvFile": envFile, "Secondary1": endpoint{host, port}}
	for key, value := range env {
		fields[key] = value
	}
	return guide.Execute(out, fields)
}
