package e2e

import (
	"strings"
	"testing"
)

// Every kind of record that an import may bring, known to PowerDNS or not (RFC 3597), arrives as it is.
func TestRecordTypes(t *testing.T) {
	parallel(t)
	const zone = "types.example."
	name := func(label string) string { return label + "." + zone }
	primary.create(t, zone, 1,
		set(zone, "A", "192.0.2.1"), set(zone, "AAAA", "2001:db8::1"), set(zone, "MX", "10 mail."+zone, "20 ."),
		set(zone, "CAA", `0 issue "ca.example.net"`, `128 iodef "mailto:security@example.net"`),
		set(zone, "TXT", `"v=spf1 -all"`, `"two" "strings"`, `"quote \" backslash \\ octet \195\164"`, `""`),
		set(zone, "HTTPS", "1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1"),
		set(name("_dns"), "SVCB", "1 dns.example.net. mandatory=alpn alpn=dot", "0 other.example.net."),
		set(name("_25._tcp"), "TLSA", "3 1 1 "+strings.Repeat("0123456789abcdef", 4)),
		set(name("_sip._udp"), "SRV", "10 60 5060 sip."+zone),
		set(name("_ftp._tcp"), "URI", `10 1 "ftp://ftp.example.net/public"`),
		set(name("naptr"), "NAPTR", `100 50 "u" "E2U+sip" "!^.*$!sip:customer@example.net!" .`),
		set(name("loc"), "LOC", "51 30 12.748 N 0 7 39.611 W 0.00m 0.00m 0.00m 0.00m"),
		set(name("ssh"), "SSHFP", "4 2 "+strings.Repeat("0123456789abcdef", 4)),
		set(name("cert"), "CERT", "1 0 0 MIICXAIBAAKBgQ=="),
		set(name("rp"), "RP", "admin.example.net. txt.example.net."),
		set(name("hinfo"), "HINFO", `"PC" "Linux"`),
		set(name("afsdb"), "AFSDB", "1 afs.example.net."),
		set(name("dname"), "DNAME", "target.example.net."),
		set(name("alias"), "CNAME", "www.example.net."),
		set(name("openpgp"), "OPENPGPKEY", "mQENBFVHm5sBCADf"),
		set(name("smime"), "SMIMEA", "3 1 1 "+strings.Repeat("0123456789abcdef", 4)),
		set(name("eui"), "EUI48", "00-11-22-33-44-55"), set(name("eui"), "EUI64", "00-11-22-33-44-55-66-77"),
		set(name("kx"), "KX", "10 kx.example.net."),
		set(name("ptr"), "PTR", "host.example.net."),
		set(name("spf"), "SPF", `"v=spf1 -all"`),
		set(name("dhcid"), "DHCID", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="),
		set(name("sub"), "NS", "ns.sub."+zone), set(name("ns.sub"), "A", "192.0.2.53"),
		set(name("safe"), "NS", "ns.example.net."), set(name("safe"), "DS", "12345 13 2 "+strings.Repeat("0123456789abcdef", 4)),
		set(name("unknown"), "TYPE65534", `\# 4 01020304`, `\# 0 `),
		set(name("unknown"), "TYPE65280", `\# 300 `+strings.Repeat("ab", 300)),
		set(name("UPPER"), "A", "192.0.2.7"),
	)
	waitServed(t, zone, 1)
	waitSame(t, zone)
	lines, err := secondaries[1].transfer(zone)
	must(t, err)
	if len(lines) < 44 {
		t.Errorf("only %d records:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	// And signed: each of them under a signature of its own.
	sign(t, zone, "1 0 0 -", false)
	waitSame(t, zone)
}
