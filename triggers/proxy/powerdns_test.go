package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
)

// loose marks routes whose answers differ between any two servers.
const loose = true

type apiCall struct {
	method, path, body string
	loose              bool
}

const server = "/api/v1/servers/localhost"

// privateKey makes the server's key material the same each time.
const privateKey = `Private-key-format: v1.2\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: 3BFQhcjlsUVy0vmRFCEhHOLPwKDNHNvXyIkcfbAIxdM=\n`

// apiCalls uses every route of PowerDNS 4.7.3 with every method, in an order
// that makes sense, and wrongly too.
var apiCalls = []apiCall{
	{"GET", "/api", "", false},
	{"GET", "/api/v1", "", false},
	{"GET", "/api/v1/servers", "", false},
	{"GET", server, "", false},
	{"HEAD", server, "", false},
	{"GET", server + "/config", "", loose},
	{"GET", server + "/config/launch", "", false},
	{"GET", server + "/statistics", "", loose},
	{"GET", server + "/statistics?statistic=udp-queries", "", false},
	{"GET", server + "/statistics?statistic=nonsense", "", false},

	{"POST", server + "/zones", `{"name":"example.org.","kind":"Native","nameservers":["ns1.example.net."]}`, false},
	{"POST", server + "/zones", `{"kind":"Native","name":"0/26.2.0.192.in-addr.arpa.","nameservers":["ns1.example.net."]}`, false},
	{"POST", server + "/zones", `{"name":"_MSDCS.Example.","kind":"Master","soa_edit_api":"","zone":"_msdcs.example. 60 IN SOA a. b. 4294967295 2 3 4 5\n"}`, false},
	{"POST", server + "/zones", `{"name":"secondary.example.","kind":"Slave","masters":["127.0.0.1:1"]}`, false},
	{"POST", server + "/zones", `{"name":"first.example.","name":"last.example.","kind":"Native"}`, false},
	{"POST", server + "/zones?rrsets=false", `{"name":"quiet.example.","kind":"Native"}`, false},
	{"POST", server + "/zones", `{"name":"example.org.","kind":"Native"}`, false},
	{"POST", server + "/zones", `{"name":"no-dot.example","kind":"Native"}`, false},
	{"POST", server + "/zones", `{"name":"sp ace.example.","kind":"Native"}`, false},
	{"POST", server + "/zones", `{"kind":"Native"}`, false},
	{"POST", server + "/zones", `{"name":`, false},
	{"POST", server + "/zones", `[]`, false},
	{"POST", server + "/zones", "", false},
	{"GET", server + "/zones", "", false},
	{"GET", server + "/zones?zone=example.org.", "", false},
	{"GET", server + "/zones?dnssec=false", "", false},
	{"BREW", server + "/zones", "", false},
	{"OPTIONS", server + "/zones", "", false},

	{"GET", server + "/zones/example.org.", "", false},
	{"HEAD", server + "/zones/example.org.", "", false},
	{"GET", server + "/zones/EXAMPLE.org", "", false},
	{"GET", server + "/zones/example.org.?rrset_name=example.org.&rrset_type=NS", "", false},
	{"GET", server + "/zones/0=2F26.2.0.192.in-addr.arpa.", "", false},
	{"GET", server + "/zones/0%2F26.2.0.192.in-addr.arpa.", "", false},
	{"GET", server + "/zones/0/26.2.0.192.in-addr.arpa.", "", false},
	{"GET", server + "/zones/0=2f26.2.0.192.in-addr.arpa.", "", false},
	{"GET", server + "/zones/absent.example.", "", false},
	{"GET", server + "/zones/example.org./", "", false},
	{"GET", server + "//zones/example.org.", "", false},
	{"GET", "/" + server + "/zones/example.org.", "", false},
	{"GET", server + "/zones/a/../example.org.", "", false},
	{"PATCH", server + "/zones/example.org.", `{"rrsets":[{"name":"www.example.org.","type":"A","ttl":60,"changetype":"REPLACE","records":[{"content":"192.0.2.1"}]}]}`, false},
	{"PATCH", server + "/zones/EXAMPLE.ORG", `{"rrsets":[{"name":"txt.example.org.","type":"TXT","ttl":60,"changetype":"REPLACE","records":[{"content":"\"caf\u00e9 \\\" ;\""}]}]}`, false},
	{"PATCH", server + "/zones/0/26.2.0.192.in-addr.arpa.", `{"rrsets":[{"name":"1.0/26.2.0.192.in-addr.arpa.","type":"PTR","ttl":60,"changetype":"REPLACE","records":[{"content":"a."}]}]}`, false},
	{"patch", server + "/zones/example.org.", `{"rrsets":[]}`, false},
	{"PATCH", server + "/zones/example.org.", `{"rrsets":[{"name":"elsewhere.","type":"A","ttl":60,"changetype":"REPLACE","records":[]}]}`, false},
	{"PATCH", server + "/zones/example.org.", `{`, false},
	{"PATCH", server + "/zones/absent.example.", `{"rrsets":[]}`, false},
	{"PUT", server + "/zones/example.org.", `{"kind":"Master","account":"someone","api_rectify":true}`, false},
	{"PUT", server + "/zones/example.org.", `{"dnssec":true,"nsec3param":"garbage"}`, false},
	{"PUT", server + "/zones/absent.example.", `{}`, false},
	{"POST", server + "/zones/example.org.", `{}`, false},
	{"GET", server + "/zones/example.org./export", "", false},
	{"PUT", server + "/zones/example.org./notify", "", false},
	{"PUT", server + "/zones/quiet.example./notify", "", false},
	{"PUT", server + "/zones/secondary.example./axfr-retrieve", "", false},
	{"PUT", server + "/zones/example.org./axfr-retrieve", "", false},

	{"POST", server + "/zones/last.example./cryptokeys", `{"keytype":"csk","active":true,"content":"` + privateKey + `"}`, false},
	{"GET", server + "/zones/last.example./cryptokeys", "", false},
	{"GET", server + "/zones/last.example./cryptokeys/99", "", false},
	{"PUT", server + "/zones/last.example./cryptokeys/99", `{"active":false}`, false},
	{"DELETE", server + "/zones/last.example./cryptokeys/99", "", false},
	{"POST", server + "/zones/last.example./cryptokeys", `{"keytype":"nonsense"}`, false},
	{"PUT", server + "/zones/last.example./rectify", "", false},
	{"PUT", server + "/zones/secondary.example./rectify", "", false},
	{"GET", server + "/zones/example.org./metadata", "", false},
	{"POST", server + "/zones/example.org./metadata", `{"kind":"X-Mine","metadata":["a","b"]}`, false},
	{"PUT", server + "/zones/example.org./metadata/ALLOW-AXFR-FROM", `{"metadata":["127.0.0.1"]}`, false},
	{"GET", server + "/zones/example.org./metadata/ALLOW-AXFR-FROM", "", false},
	{"DELETE", server + "/zones/example.org./metadata/ALLOW-AXFR-FROM", "", false},
	{"PUT", server + "/zones/example.org./metadata/PRESIGNED", `{"metadata":["1"]}`, false},

	{"GET", server + "/search-data?q=*example*&max=5", "", false},
	{"GET", server + "/search-data?q=", "", false},
	{"PUT", server + "/cache/flush?domain=example.org.", "", false},
	{"PUT", server + "/cache/flush?domain=no-dot", "", false},
	{"GET", server + "/tsigkeys", "", false},
	{"POST", server + "/tsigkeys", `{"name":"key","algorithm":"hmac-sha256","key":"c2VjcmV0"}`, false},
	{"GET", server + "/tsigkeys/key.", "", false},
	{"PUT", server + "/tsigkeys/key.", `{"key":"YW5vdGhlcg=="}`, false},
	{"DELETE", server + "/tsigkeys/key.", "", false},
	{"GET", server + "/autoprimaries", "", false},
	{"POST", server + "/autoprimaries", `{"ip":"192.0.2.1","nameserver":"ns.example.","account":"a"}`, false},
	{"DELETE", server + "/autoprimaries/192.0.2.1/ns.example.", "", false},
	// Of newer versions.
	{"GET", server + "/views", "", false},
	{"POST", server + "/views/inside", `{"name":"example.org..inside"}`, false},
	{"PUT", server + "/networks/192.0.2.0/24", `{"view":"inside"}`, false},

	{"DELETE", server + "/zones/0=2F26.2.0.192.in-addr.arpa.", "", false},
	{"DELETE", server + "/zones/example.org", "", false},
	{"DELETE", server + "/zones/example.org", "", false},
	{"GET", server + "/zones", "", false},
}

// TestSameAsDirect makes each call to a PowerDNS directly, and to others of the
// same history through the proxy, and compares the answers.
func TestSameAsDirect(t *testing.T) {
	direct := pdnstest.Primary(t, pdnstest.SQLite)
	type way struct {
		name   string
		js     *fakeNATS
		p      *running
		client *http.Client
		key    string
	}
	var ways []way
	for _, name := range []string{"HTTP/1.1", "HTTP/2"} {
		powerdns, js := pdnstest.Primary(t, pdnstest.SQLite), &fakeNATS{}
		p := start(t, testConfig(t, powerdns.APIURL, js))
		client := p.client
		if name == "HTTP/1.1" {
			client = http1(p)
		}
		ways = append(ways, way{name, js, p, client, powerdns.APIKey})
	}
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	events := 0
	for _, call := range apiCalls {
		want := fetch(t, plain, direct.APIURL, direct.APIKey, call)
		if c := classify(call.method, call.path); c.place != nowhere && c.changedBy(want.status) {
			events++
		}
		for _, w := range ways {
			if got := fetch(t, w.client, w.p.url, w.key, call); !got.same(want, call.loose) {
				t.Errorf("%s %s through %s:\n%+v\ndirect:\n%+v", call.method, call.path, w.name, got, want)
			}
		}
	}
	for _, w := range ways {
		eventually.True(t, fmt.Sprintf("%d events", events), func() bool { return len(w.js.list()) >= events })
	}
	zones := map[string]int{}
	for _, e := range ways[0].js.list() {
		zones[e.Zone]++
	}
	for zone, at := range map[string]int{"example.org.": 12, "last.example.": 3, "0/26.2.0.192.in-addr.arpa.": 3, "_msdcs.example.": 1, "quiet.example.": 1} {
		if zones[zone] < at-2 || zones[zone] == 0 {
			t.Errorf("%s: %d events; of all: %v", zone, zones[zone], zones)
		}
	}
	// PowerDNS takes the last of two names.
	if zones["first.example."] > 0 {
		t.Errorf("events: %v", zones)
	}
}

// TestOnlyTheAPI: PowerDNS shows its own pages to whoever comes from this host, without a key.
func TestOnlyTheAPI(t *testing.T) {
	powerdns := pdnstest.Primary(t, pdnstest.SQLite)
	p := start(t, testConfig(t, powerdns.APIURL, &fakeNATS{}))
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	for _, path := range []string{"/", "/?resetring=logmessages", "/style.css", "/metrics"} {
		call := apiCall{method: "GET", path: path}
		if got := fetch(t, plain, powerdns.APIURL, "", call); got.status >= 400 {
			t.Errorf("%s of PowerDNS: %d", path, got.status)
		}
		if got := fetch(t, p.client, p.url, powerdns.APIKey, call); got.status != http.StatusNotFound || !strings.Contains(got.body, "the api-proxy forwards to the PowerDNS API only") {
			t.Errorf("%s through the proxy: %d %s", path, got.status, got.body)
		}
	}
}

// http1 is a client that does not use HTTP/2.
func http1(p *running) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.roots}, DisableCompression: true}}
}

type fetched struct {
	status int
	header http.Header
	body   string
}

func (a fetched) same(b fetched, loose bool) bool {
	return a.status == b.status && fmt.Sprint(a.header) == fmt.Sprint(b.header) && (loose || a.body == b.body)
}

// fetch makes a call with the path as it is written, and leaves out of the
// answer's headers what belongs to one connection.
func fetch(t testing.TB, client *http.Client, base, key string, call apiCall) fetched {
	t.Helper()
	var body io.Reader
	if call.body != "" {
		body = strings.NewReader(call.body)
	}
	path, query, hasQuery := strings.Cut(call.path, "?")
	req, err := http.NewRequestWithContext(t.Context(), call.method, base, body)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Path, req.URL.RawQuery, req.URL.ForceQuery = path, query, hasQuery
	req.URL.RawPath = path
	if unescaped := strings.ReplaceAll(path, "%2F", "/"); unescaped != path {
		req.URL.Path = unescaped
	}
	req.Header.Set("X-API-Key", key)
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", call.method, call.path, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Date", "Connection", HeaderChangeID} {
		res.Header.Del(name)
	}
	// An answer 204 must have none (RFC 9110 section 8.6); PowerDNS sends 0.
	if res.StatusCode == http.StatusNoContent || call.loose {
		res.Header.Del("Content-Length")
	}
	return fetched{res.StatusCode, res.Header, string(data)}
}

// TestRealRefusals: answers of PowerDNS that come before or without its work.
func TestRealRefusals(t *testing.T) {
	powerdns, js := pdnstest.Primary(t, pdnstest.LMDB, "webserver-max-bodysize=2"), &fakeNATS{}
	p := start(t, testConfig(t, powerdns.APIURL, js))
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}}

	zone := apiCall{"POST", server + "/zones", `{"name":"example.org.","kind":"Native"}`, false}
	want, got := fetch(t, plain, powerdns.APIURL, "wrong", zone), fetch(t, p.client, p.url, "wrong", zone)
	if got.status != http.StatusUnauthorized || !got.same(want, false) {
		t.Errorf("with a wrong key:\n%+v\ndirect:\n%+v", got, want)
	}
	// 20 MB, which PowerDNS stops to read after 2.
	big := apiCall{"POST", server + "/zones", `{"name":"example.org.","kind":"Native","zone":"` + strings.Repeat("x", 20<<20) + `"}`, false}
	for n := range 20 {
		client := p.client
		if n%2 == 0 {
			client = http1(p)
		}
		if n == 10 {
			big.method, big.path = "PATCH", server+"/zones/example.org."
		}
		got = fetch(t, client, p.url, powerdns.APIKey, big)
		if got.status != http.StatusBadRequest || got.body != "Bad Request" {
			t.Errorf("a body too large: %+v", got)
		}
	}
	p.idle()
	if len(js.list()) > 0 {
		t.Errorf("events: %+v", js.list())
	}
}

// TestRealBigBodies sends 3 MB to PowerDNS and fetches 20. (The time that 4.7.3
// takes to read a body grows with its square: 20 MB keep it busy for 5 s and
// more. TestBigBodiesStream sends as much.)
func TestRealBigBodies(t *testing.T) {
	powerdns, js := pdnstest.Primary(t, pdnstest.LMDB), &fakeNATS{}
	p := start(t, testConfig(t, powerdns.APIURL, js))
	// PowerDNS reads fields that it does not know and skips them.
	body := `{"kind":"Native","unknown":"` + strings.Repeat("x", 3<<20) + `","name":"made.example."}`
	if made := fetch(t, p.client, p.url, powerdns.APIKey, apiCall{"POST", server + "/zones", body, false}); made.status != http.StatusCreated {
		t.Fatalf("%+v", made)
	}
	eventually.True(t, "the event", func() bool { return len(js.list()) == 1 && js.list()[0].Zone == "made.example." })

	var text strings.Builder
	text.WriteString("big.example. 60 IN SOA a. b. 1 2 3 4 5\n")
	for n := range 5_000 {
		fmt.Fprintf(&text, "n%d.big.example. 60 IN TXT%s\n", n, strings.Repeat(` "`+strings.Repeat("x", 250)+`"`, 17))
	}
	powerdns.LoadZone(t, "big.example.", text.String())
	read := apiCall{"GET", server + "/zones/big.example.", "", false}
	got := fetch(t, p.client, p.url, powerdns.APIKey, read)
	want := fetch(t, http.DefaultClient, powerdns.APIURL, powerdns.APIKey, read)
	if got.status != http.StatusOK || len(got.body) < 20<<20 || !got.same(want, false) {
		t.Errorf("%d, %d octets, direct %d", got.status, len(got.body), len(want.body))
	}
}

// TestRouteList: what the table above leaves out would go untested.
func TestRouteList(t *testing.T) {
	for _, route := range []string{
		"/cache/flush", "/config", "/search-data", "/statistics", "/autoprimaries/", "/autoprimaries", "/tsigkeys/", "/tsigkeys",
		"/axfr-retrieve", "/cryptokeys/", "/cryptokeys", "/export", "/metadata/", "/metadata", "/notify", "/rectify", "/zones/", "/zones",
	} {
		if !slices.ContainsFunc(apiCalls, func(c apiCall) bool { return strings.Contains(c.path, route) }) {
			t.Errorf("no call of %s", route)
		}
	}
}
