package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

const (
	account = "pdns-distribute"
	master  = "127.0.0.1:5399"
)

// forEachBackend runs a test with a server of each backend.
func forEachBackend(t *testing.T, test func(t *testing.T, server *pdnstest.Server, client *api.Client)) {
	for _, backend := range pdnstest.Backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			server := pdnstest.Secondary(t, backend)
			test(t, server, api.New(server.APIURL, server.APIKey))
		})
	}
}

func TestZoneLife(t *testing.T) {
	forEachBackend(t, func(t *testing.T, server *pdnstest.Server, client *api.Client) {
		ctx := t.Context()
		const zone = "example.org."
		if _, err := client.Zone(ctx, zone); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("look up a zone that is not there: %v", err)
		}
		if err := client.CreateSecondaryZone(ctx, zone, master, account); err != nil {
			t.Fatal(err)
		}
		if err := client.CreateSecondaryZone(ctx, zone, master, account); !errors.Is(err, api.ErrConflict) {
			t.Errorf("create it again: %v", err)
		}
		got, err := client.Zone(ctx, "EXAMPLE.org")
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != zone || !got.IsSecondary() || got.Account != account || !slices.Equal(got.Masters, []string{master}) {
			t.Errorf("zone is %+v", got)
		}
		if !got.OwnedBy(account, master) {
			t.Errorf("zone %+v is not ours", got)
		}
		if err := client.RetrieveZone(ctx, zone); err != nil {
			t.Errorf("retrieve: %v", err)
		}
		if answer := server.MustCall(t, http.MethodGet, "/zones/"+zone, nil); !strings.Contains(answer, `"soa_edit_api": ""`) {
			t.Errorf("PowerDNS would rewrite serials: %s", answer)
		}
		if values, err := client.Metadata(ctx, zone, "PRESIGNED"); err != nil || len(values) != 0 {
			t.Errorf("PRESIGNED is %q, %v", values, err)
		}
		if err := client.DeleteZone(ctx, zone); err != nil {
			t.Fatal(err)
		}
		for step, err := range map[string]error{
			"delete": client.DeleteZone(ctx, zone), "retrieve": client.RetrieveZone(ctx, zone),
			"metadata": func() error { _, err := client.Metadata(ctx, zone, "PRESIGNED"); return err }(),
		} {
			if !errors.Is(err, api.ErrNotFound) || !strings.Contains(err.Error(), zone) {
				t.Errorf("%s when it is gone: %v", step, err)
			}
		}
	})
}

// Names that need care in a path. PowerDNS takes no others through its API:
// zones with escaped names must be created with pdnsutil.
func TestZoneNames(t *testing.T) {
	forEachBackend(t, func(t *testing.T, server *pdnstest.Server, client *api.Client) {
		ctx := t.Context()
		zones := []string{".", "0/26.2.0.192.in-addr.arpa.", "_x.example.", "xn--bcher-kva.example.", "a-b.0.example."}
		for _, zone := range zones {
			if err := client.CreateSecondaryZone(ctx, zone, master, account); err != nil {
				t.Fatal(err)
			}
			if got, err := client.Zone(ctx, zone); err != nil || got.Name != zone {
				t.Errorf("zone %s: %+v, %v", zone, got, err)
			}
		}
		var names []string
		for z, err := range client.Zones(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, z.Name)
			if !z.OwnedBy(account, master) {
				t.Errorf("zone %+v in the list is not ours", z)
			}
		}
		slices.Sort(names)
		slices.Sort(zones)
		if !slices.Equal(names, zones) {
			t.Errorf("list has %q, want %q", names, zones)
		}
		for _, zone := range zones {
			if err := client.RetrieveZone(ctx, zone); err != nil {
				t.Error(err)
			}
			if err := client.FlushCache(ctx, zone); err != nil {
				t.Error(err)
			}
			if err := client.DeleteZone(ctx, zone); err != nil {
				t.Error(err)
			}
		}
		for z, err := range client.Zones(ctx) {
			t.Errorf("no zones left: %v, %v", z, err)
		}
	})
}

func TestEscapedZoneName(t *testing.T) {
	forEachBackend(t, func(t *testing.T, server *pdnstest.Server, client *api.Client) {
		const zone = `a\.b.example.`
		server.Pdnsutil(t, "create-zone", zone)
		got, err := client.Zone(t.Context(), zone)
		if err != nil || got.Name != zone {
			t.Errorf("zone %+v, %v", got, err)
		}
		if err := client.DeleteZone(t.Context(), zone); err != nil {
			t.Error(err)
		}
		var refused *api.Error
		err = client.CreateSecondaryZone(t.Context(), `a\ b.example.`, master, account)
		if !errors.As(err, &refused) || refused.Status != http.StatusUnprocessableEntity || !errors.Is(err, api.ErrRejected) {
			t.Errorf("create a zone with a blank in its name: %v", err)
		}
	})
}

func TestServerAndConfig(t *testing.T) {
	server := pdnstest.Secondary(t, pdnstest.SQLite)
	client := api.New(server.APIURL+"/", server.APIKey)
	info, err := client.Server(t.Context())
	if err != nil || !strings.HasPrefix(info.Version, "4.") && !strings.HasPrefix(info.Version, "5.") {
		t.Errorf("version %q, %v", info.Version, err)
	}
	uptime, err := client.Uptime(t.Context())
	if err != nil || uptime > time.Minute {
		t.Errorf("uptime %s, %v", uptime, err)
	}
	before, err := client.Queries(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, network := range []string{"udp", "tcp"} {
		dnsClient := dns.Client{Net: network}
		if _, _, err := dnsClient.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion("example.org.", dns.TypeA), server.DNS); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := client.Queries(t.Context()); err != nil || after != before+2 {
		t.Errorf("%d queries after two more than %d, %v", after, before, err)
	}
	settings, err := client.Config(t.Context())
	if err != nil || settings["retrieval-threads"] != "2" {
		t.Errorf("retrieval-threads is %q, %v", settings["retrieval-threads"], err)
	}
}

func TestSignedZoneFields(t *testing.T) {
	server := pdnstest.Primary(t, pdnstest.SQLite)
	client := api.New(server.APIURL, server.APIKey)
	const zone = "signed.example."
	server.CreateZone(t, zone, "signed.example. 60 IN SOA ns.signed.example. a.signed.example. 7 1800 900 604800 86400\n"+
		"signed.example. 60 IN NS ns.signed.example.\nns.signed.example. 60 IN A 192.0.2.1\n")
	server.Sign(t, zone, "1 0 0 -", true)
	got, err := client.Zone(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	if !got.DNSSEC || got.NSEC3Param != "1 0 0 -" || !got.NSEC3Narrow || got.Serial != 7 || got.EditedSerial != 7 {
		t.Errorf("zone is %+v", got)
	}
	if got.OwnedBy(account, master) {
		t.Error("a native zone counts as ours")
	}
}

// A flush must reach the names below the zone's too.
func TestFlushCache(t *testing.T) {
	server := pdnstest.Primary(t, pdnstest.SQLite, "cache-ttl=3600")
	client := api.New(server.APIURL, server.APIKey)
	const zone, name = "cached.example.", "www.cached.example."
	server.CreateZone(t, zone, "@ 60 IN SOA ns.cached.example. a.cached.example. 1 1800 900 604800 86400\nwww 60 IN A 192.0.2.1\n")
	var dnsClient query.Client
	ask := func() string {
		m, err := dnsClient.Exchange(t.Context(), server.DNS, new(dns.Msg).SetQuestion(name, dns.TypeA))
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Answer) != 1 {
			t.Fatalf("answer is %v", m)
		}
		return m.Answer[0].(*dns.A).A.String()
	}
	ask()
	server.SQL(t, "UPDATE records SET content='192.0.2.2' WHERE name='www.cached.example'")
	if got := ask(); got != "192.0.2.1" {
		t.Fatalf("the answer %s does not come from the cache: this test shows nothing", got)
	}
	if err := client.FlushCache(t.Context(), zone); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != "192.0.2.2" {
		t.Errorf("after the flush the answer is still %s", got)
	}
}

// "Not found" from what is no PowerDNS must not look like a zone that is gone.
func TestNotFoundBySomebodyElse(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"always 404": http.NotFound,
		"a page for the server too": func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/zones/") {
				http.NotFound(w, r)
				return
			}
			w.Write([]byte("{}"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			_, err := api.New(server.URL, "key").Zone(t.Context(), "example.org.")
			if err == nil || errors.Is(err, api.ErrNotFound) || !strings.Contains(err.Error(), "example.org.") {
				t.Errorf("%v, want an error other than not found", err)
			}
		})
	}
}

// A list of all zones may take longer than anything else.
func TestListsHaveLonger(t *testing.T) {
	const timeout = 200 * time.Millisecond
	wait := 2 * timeout
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(wait):
			w.Write([]byte("[]"))
		case <-r.Context().Done():
		}
	}))
	defer fake.Close()
	client := api.New(fake.URL, "key", api.WithTimeout(timeout))
	for _, err := range client.Zones(t.Context()) {
		t.Errorf("after %s: %v", wait, err)
	}
	wait = time.Minute
	var late error
	for _, late = range client.Zones(t.Context()) {
		if late == nil {
			t.Error("a zone that nobody named")
		}
	}
	if late == nil || !strings.Contains(late.Error(), "list zones") || !strings.Contains(late.Error(), "after 800ms") {
		t.Errorf("after %s: %v", wait, late)
	}
}

func TestErrors(t *testing.T) {
	const key = "very-secret-key"
	server := pdnstest.Secondary(t, pdnstest.SQLite)
	_, err := api.New(server.APIURL, key).Zone(t.Context(), "example.org.")
	var answer *api.Error
	if !errors.As(err, &answer) || answer.Status != http.StatusUnauthorized || errors.Is(err, api.ErrNotFound) || !strings.Contains(err.Error(), "api_key_file") {
		t.Errorf("wrong key: %v", err)
	}
	if strings.Contains(err.Error(), key) {
		t.Errorf("the error shows the key: %v", err)
	}

	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/redirect."):
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		case strings.HasSuffix(r.URL.Path, "/garbage."):
			w.Write([]byte("{"))
		case strings.HasSuffix(r.URL.Path, "/noname."):
			w.Write([]byte(`{"name":""}`))
		case strings.HasSuffix(r.URL.Path, "/slow."):
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/oldunknown."):
			w.WriteHeader(http.StatusUnprocessableEntity)
			json.NewEncoder(w).Encode(map[string]string{"error": "Could not find domain 'oldunknown.'"})
		case strings.HasSuffix(r.URL.Path, "/localhost"):
			w.Write([]byte(`{"version":"5.0.7"}`))
		case strings.HasSuffix(r.URL.Path, "/zones"):
			w.Write([]byte("null"))
		default:
			w.WriteHeader(http.StatusInternalServerError)
			w.Write([]byte(`{"error":"unable to delete RRSet ` + strings.Repeat("x", 100_000) + `"}`))
		}
	}))
	defer fake.Close()
	hasty := api.New(fake.URL, key, api.WithTimeout(200*time.Millisecond))
	if _, err := hasty.Zone(t.Context(), "slow."); err == nil || !strings.Contains(err.Error(), "deadline exceeded after 200ms") {
		t.Errorf("no answer in time: %v", err)
	}
	client := api.New(fake.URL, key)
	tests := []struct{ zone, want string }{
		{"redirect.", "302"},
		{"garbage.", "look up zone garbage.: answer"},
		{"noname.", "is empty"},
		{"oldunknown.", "Could not find domain"},
		{"fails.", "500"},
		{"a..b", "empty label"},
	}
	for _, tt := range tests {
		_, err := client.Zone(t.Context(), tt.zone)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.zone) {
			t.Errorf("%s: %v, want an error with %q", tt.zone, err, tt.want)
			continue
		}
		if strings.Contains(err.Error(), key) || len(err.Error()) > 1000 {
			t.Errorf("%s: error of %d characters, or with the key: %v", tt.zone, len(err.Error()), err)
		}
		if got := errors.Is(err, api.ErrNotFound); got != (tt.zone == "oldunknown.") {
			t.Errorf("%s: not found %v", tt.zone, got)
		}
	}
	for zone, err := range client.Zones(t.Context()) {
		if err == nil {
			t.Errorf("a list that is none gives %v", zone)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.DeleteZone(ctx, "fails."); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
