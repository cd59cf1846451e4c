package transfer_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// What a zone's creation is answered with is what its AXFR brings, or is refused to be
// read as that.
func TestTheAnswerToACreationIsItsContent(t *testing.T) {
	cases := []struct {
		what, name, rrtype string
		contents           []string
		ttl                int
		refused            bool
	}{
		{what: "addresses", name: "www", rrtype: "A", contents: []string{"192.0.2.1", "192.0.2.2"}},
		{what: "IPv6", name: "www", rrtype: "AAAA", contents: []string{"2001:db8::1", "::1", "2001:db8:0:1:0:1:0:1"}},
		{what: "IPv4 in IPv6", name: "www", rrtype: "AAAA", contents: []string{"::ffff:c000:201"}},
		{what: "upper case", name: "WWW", rrtype: "CNAME", contents: []string{"Target.Example.NET."}},
		{what: "wildcard", name: "*.wild", rrtype: "A", contents: []string{"192.0.2.1"}},
		{what: "empty non-terminals", name: "a.b.c.d", rrtype: "A", contents: []string{"192.0.2.1"}},
		{what: "delegation", name: "child", rrtype: "NS", contents: []string{"ns.child.made.example.", "ns.example.net."}},
		{what: "glue", name: "ns.child", rrtype: "A", contents: []string{"192.0.2.1"}},
		{what: "mail", name: "@", rrtype: "MX", contents: []string{"10 Mail.example.net.", "20 mail2.made.example."}},
		{what: "null mail", name: "@", rrtype: "MX", contents: []string{"0 ."}},
		{what: "service", name: "_sip._tcp", rrtype: "SRV", contents: []string{"0 5 5060 sip.example.net.", "1 0 0 ."}},
		{what: "authority", name: "@", rrtype: "CAA", contents: []string{`0 issue "ca.example; policy=ev"`, `128 iodef "mailto:a@example.net"`}},
		{what: "pointer", name: "1", rrtype: "PTR", contents: []string{"Host.example.net."}},
		{what: "text", name: "@", rrtype: "TXT", contents: []string{`"v=spf1 mx -all"`, `"a" "b c"`, `""`, `"; no ( comment ) @ $"`}},
		{what: "long text", name: "@", rrtype: "TXT", contents: []string{`"` + strings.Repeat("x", 255) + `" "` + strings.Repeat("y", 255) + `"`}},
		{what: "longer text", name: "@", rrtype: "TXT", contents: []string{`"` + strings.Repeat("x", 600) + `"`}},
		{what: "text of many strings", name: "@", rrtype: "TXT", contents: []string{strings.TrimSpace(strings.Repeat(`"k=v" `, 100))}},
		{what: "escaped text", name: "@", rrtype: "TXT", contents: []string{`"a \"quoted\" \\ \195\188"`}, refused: true},
		{what: "longest TTL", name: "www", rrtype: "A", contents: []string{"192.0.2.1"}, ttl: 1<<31 - 1},
		{what: "less usual type", name: "@", rrtype: "SSHFP", contents: []string{"1 1 aa65e3415a50d9b3519c2b17aceb815fc2538d88"}, refused: true},
		{what: "unknown type", name: "@", rrtype: "TYPE65400", contents: []string{`\# 3 010203`}, refused: true},
		{what: "alias", name: "@", rrtype: "ALIAS", contents: []string{"www.example.net."}, refused: true},
		{what: "alias of a name", name: "@", rrtype: "DNAME", contents: []string{"example.net."}, refused: true},
		{what: "program", name: "lua", rrtype: "LUA", contents: []string{`A "'192.0.2.1'"`}, refused: true},
	}
	for _, backend := range pdnstest.Backends {
		t.Run(backend, func(t *testing.T) {
			server := pdnstest.Primary(t, backend)
			for _, c := range cases {
				t.Run(c.what, func(t *testing.T) {
					const zone = "made.example."
					absolute := strings.TrimPrefix(c.name+"."+zone, "@.")
					answer := server.MustCall(t, http.MethodPost, "/zones", map[string]any{"name": zone, "kind": "Native", "rrsets": []map[string]any{
						set(zone, "SOA", 3600, "ns1.example.net. Hostmaster.example.net. 4000000000 10800 3600 604800 60"),
						set(zone, "NS", 3600, "NS1.example.net.", "ns2.made.example."),
						set(absolute, c.rrtype, c.ttl, c.contents...),
					}})
					defer server.MustCall(t, http.MethodDelete, "/zones/"+zone, nil)
					held, sets, err := api.ReadFilledZone([]byte(answer))
					require.NoError(t, err)
					require.Equal(t, zone, held.Name)
					read, err := transfer.EncodeRRsets(io.Discard, sets)
					if c.refused {
						require.Error(t, err)
						return
					}
					require.NoError(t, err)
					pulled, err := transfer.Pull(t.Context(), server.DNS, zone, io.Discard)
					require.NoError(t, err)
					read.Size, pulled.Size = 0, 0 // their records are in another order
					require.Equal(t, pulled, read)
				})
			}
		})
	}
}

func set(name, rrtype string, ttl int, contents ...string) map[string]any {
	records := make([]map[string]any, 0, len(contents))
	for _, content := range contents {
		records = append(records, map[string]any{"content": content})
	}
	return map[string]any{"name": name, "type": rrtype, "ttl": ttl, "records": records}
}

// Of an RRset with disabled records the TTL may be theirs, and an answer without RRsets says nothing.
func TestAnAnswerThatIsNotTheContent(t *testing.T) {
	server := pdnstest.Primary(t, pdnstest.SQLite)
	const zone = "made.example."
	soa := set(zone, "SOA", 3600, "ns1.example.net. hostmaster.example.net. 1 10800 3600 604800 60")
	off := set("off."+zone, "A", 60, "192.0.2.1")
	off["records"] = []map[string]any{{"content": "192.0.2.1", "disabled": true}}
	body := map[string]any{"name": zone, "kind": "Native", "rrsets": []map[string]any{soa, off}}
	_, _, err := api.ReadFilledZone([]byte(server.MustCall(t, http.MethodPost, "/zones", body)))
	require.ErrorContains(t, err, "disabled")

	server.MustCall(t, http.MethodDelete, "/zones/"+zone, nil)
	_, sets, err := api.ReadFilledZone([]byte(server.MustCall(t, http.MethodPost, "/zones?rrsets=false", body)))
	require.NoError(t, err)
	require.Empty(t, sets)
	_, err = transfer.EncodeRRsets(io.Discard, sets)
	require.Error(t, err)
	_, _, err = api.ReadFilledZone([]byte(`{"name":`))
	require.Error(t, err)
}
