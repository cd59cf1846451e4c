package tlsconf

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// pair is a certificate and its key, read again when either file changes.
type pair struct {
	certFile, keyFile string

	mu      sync.Mutex
	cert    *tls.Certificate
	changed [2]time.Time
}

// loadPair reads both files; the error names the one that is bad.
func loadPair(certFile, keyFile string) (*pair, error) {
	if certFile == "" || keyFile == "" {
		return nil, errPairIncomplete
	}
	p := &pair{certFile: certFile, keyFile: keyFile}
	changed, err := p.stat()
	if err != nil {
		return nil, err
	}
	if err := p.load(changed); err != nil {
		return nil, err
	}
	return p, nil
}

// current returns the certificate, read anew when a file changed. A pair that
// is being replaced (one file new, the other not yet) does not fit together:
// the old one stays in use until it does.
func (p *pair) current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if changed, err := p.stat(); err == nil && changed != p.changed {
		_ = p.load(changed) // kept: the old pair; tried again at the next connection
	}
	return p.cert
}

func (p *pair) load(changed [2]time.Time) error {
	cert, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("load certificate %s with key %s: %w", p.certFile, p.keyFile, err)
	}
	p.cert, p.changed = &cert, changed
	return nil
}

func (p *pair) stat() ([2]time.Time, error) {
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
