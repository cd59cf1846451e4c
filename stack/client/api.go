// Package client is the outside view of a system: its nameservers by DNS and by PowerDNS's API, and its Temporal. It takes
// addresses and keys from the system's env.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// requestTimeout bounds one API call: the creation of a zone with a million records takes minutes.
const requestTimeout = 15 * time.Minute

// Nameserver is one PowerDNS: where it answers questions and where its API is.
type Nameserver struct {
	Name string
	DNS  string
	URL  string
	key  string
	http *http.Client
	// changes lets one changing request at a time through, where set: on SQLite, PowerDNS 4.7 answers concurrent ones with
	// 500.
	changes *sync.Mutex
}

// Nameservers are those of the system that env describes: the primary through the api-proxy, the same one without it, and
// the secondaries.
func Nameservers(env map[string]string) (proxy, direct *Nameserver, secondaries []*Nameserver, err error) {
	httpClient, err := HTTPS(env["API_CA"], requestTimeout)
	if err != nil {
		return nil, nil, nil, err
	}
	changes := new(sync.Mutex) // of one PowerDNS, whichever way
	proxy = &Nameserver{"primary", env["DNS_PRIMARY"], env["API_URL"], env["API_KEY"], httpClient, changes}
	direct = &Nameserver{"pdns-primary", env["DNS_PRIMARY"], env["PRIMARY_API_URL"], env["API_KEY"], httpClient, changes}
	urls := strings.Split(env["SECONDARY_API_URLS"], ",")
	for i, address := range strings.Split(env["DNS_SECONDARIES"], ",") {
		name := fmt.Sprintf("pdns-secondary-%d", i+1)
		secondaries = append(secondaries, &Nameserver{name, address, urls[i], env["SECONDARY_API_KEY"], httpClient, nil})
	}
	return proxy, direct, secondaries, nil
}

// HTTPS is a client that trusts the authorities in caFile, each of whose requests may take so long.
func HTTPS(caFile string, timeout time.Duration) (*http.Client, error) {
	pool, err := roots(caFile)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8,
	}
	return &http.Client{Transport: transport, Timeout: timeout}, nil
}

func roots(caFile string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", caFile)
	}
	return pool, nil
}

// StatusError is an answer of the API that is no success.
type StatusError struct {
	Call string
	Code int
	Body string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%s answers %d: %s", e.Call, e.Code, e.Body) }

// Call sends one request to path below /api/v1/servers/localhost, with body, unless nil, as JSON, and returns the body of its answer. An
// answer other than 2xx is a StatusError.
func (n *Nameserver) Call(ctx context.Context, method, path string, body any) ([]byte, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	if n.changes != nil && method != http.MethodGet {
		n.changes.Lock()
		defer n.changes.Unlock()
	}
	req, err := http.NewRequestWithContext(ctx, method, n.URL+"/api/v1/servers/localhost"+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Api-Key", n.key)
	resp, err := n.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = &StatusError{fmt.Sprintf("%s %s on %s", method, path, n.Name), resp.StatusCode, strings.TrimSpace(string(answer))}
	}
	return answer, err
}
