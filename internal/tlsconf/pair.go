package tlsconf

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
)

// Pair is a certificate and its key, read again when either file changes.
type Pair struct {
	certFile, keyFile string
	renewal           outage.Log

	mu      sync.Mutex
	cert    *tls.Certificate
	changed [2]time.Time
}

// LoadPair reads both files; the error names the one that is bad.
func LoadPair(certFile, keyFile string) (*Pair, error) {
	if certFile == "" || keyFile == "" {
		return nil, errPairIncomplete
	}
	p := &Pair{certFile: certFile, keyFile: keyFile, renewal: outage.Log{Logger: slog.Default(), What: "reading the renewed certificate " + certFile}}
	changed, err := p.stat()
	if err != nil {
		return nil, err
	}
	if err := p.load(changed); err != nil {
		return nil, err
	}
	return p, nil
}

// Current returns the certificate, read anew when a file changed. A pair that
// is being replaced (one file new, the other not yet) does not fit together:
// the old one stays in use until it does, and the log says so.
func (p *Pair) Current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed, err := p.stat()
	if err == nil && changed != p.changed {
		err = p.load(changed)
	}
	if err != nil { // tried again at the next connection
		p.renewal.Failed(err, "in_use_until", p.cert.Leaf.NotAfter)
	} else {
		p.renewal.OK()
	}
	return p.cert
}

func (p *Pair) load(changed [2]time.Time) error {
	cert, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("load certificate %s with key %s: %w", p.certFile, p.keyFile, err)
	}
	p.cert, p.changed = &cert, changed
	return nil
}

func (p *Pair) stat() ([2]time.Time, error) {
	var changed [2]time.Time
	for i, file := range []string{p.certFile, p.keyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return changed, fmt.Errorf("read certificate or key: %w", err)
		}
		changed[i] = info.ModTime()
	}
	return changed, nil
}
