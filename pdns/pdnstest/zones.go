package pdnstest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// Call makes one call of the API, such as PUT /zones/example.org./rectify,
// and returns its status and body. A body that is not nil is sent as JSON.
func (s *Server) Call(t testing.TB, method, path string, body any) (int, string) {
	t.Helper()
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.APIURL+"/api/v1/servers/localhost"+path, content)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", s.APIKey)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, string(answer)
}

// MustCall is Call where anything but a success ends the test.
func (s *Server) MustCall(t testing.TB, method, path string, body any) string {
	t.Helper()
	status, answer := s.Call(t, method, path, body)
	if status < 200 || status > 299 {
		t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// CreateZone creates a Native zone from the text of a zone file. The serial
// stays the one in the text.
func (s *Server) CreateZone(t testing.TB, name, text string) {
	t.Helper()
	s.MustCall(t, http.MethodPost, "/zones?rrsets=false", map[string]any{
		"name": name, "kind": "Native", "soa_edit_api": "", "zone": text,
	})
}

// LoadZone creates a zone from the text of a zone file with pdnsutil, which
// takes names that the API refuses, those with escapes.
func (s *Server) LoadZone(t testing.TB, name, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(file, []byte("$ORIGIN "+name+"\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Pdnsutil(t, "load-zone", name, file)
}

// RRset is one RRset as the API takes it.
type RRset struct {
	Name    string
	Type    string
	TTL     int
	Content []string
}

// Replace replaces RRsets of a zone, whose ID is id.
func (s *Server) Replace(t testing.TB, id string, sets ...RRset) {
	t.Helper()
	type record struct {
		Content  string `json:"content"`
		Disabled bool   `json:"disabled"`
	}
	rrsets := make([]map[string]any, 0, len(sets))
	for _, set := range sets {
		records := make([]record, 0, len(set.Content))
		for _, content := range set.Content {
			records = append(records, record{Content: content})
		}
		rrsets = append(rrsets, map[string]any{
			"name": set.Name, "type": set.Type, "ttl": set.TTL, "changetype": "REPLACE", "records": records,
		})
	}
	s.MustCall(t, http.MethodPatch, "/zones/"+id, map[string]any{"rrsets": rrsets})
}

// Sign signs a zone with one ECDSA P-256 key. nsec3 is empty for NSEC, else
// the NSEC3PARAM such as "1 0 0 -".
func (s *Server) Sign(t testing.TB, id, nsec3 string, narrow bool) {
	t.Helper()
	s.MustCall(t, http.MethodPost, "/zones/"+id+"/cryptokeys", map[string]any{
		"keytype": "csk", "active": true, "algorithm": "ECDSAP256SHA256",
	})
	if nsec3 != "" {
		s.MustCall(t, http.MethodPut, "/zones/"+id, map[string]any{"nsec3param": nsec3, "nsec3narrow": narrow})
	}
	s.MustCall(t, http.MethodPut, "/zones/"+id+"/rectify", nil)
}
