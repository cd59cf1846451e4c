package broker_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
)

func TestExplain(t *testing.T) {
	for err, want := range map[error]string{
		nats.ErrAuthorization:                  "nats.password_file",
		nats.ErrAuthExpired:                    "nats.creds_file",
		nats.ErrSecureConnWanted:               "nats.urls offers no TLS",
		nats.ErrNoServers:                      "no server answers at nats.urls",
		nats.ErrReconnectBufExceeded:           "no connection",
		x509.UnknownAuthorityError{}:           "nats.ca_file",
		errors.New("remote error: tls: bad"):   "nats.cert_file",
		errors.New("something of another way"): "",
	} {
		got := broker.Explain(fmt.Errorf("step: %w", err))
		if !errors.Is(got, err) || !strings.Contains(got.Error(), want) || want == "" && got.Error() != "step: "+err.Error() {
			t.Errorf("%v: %v, want %q", err, got, want)
		}
	}
	if broker.Explain(nil) != nil {
		t.Error("nil is an error")
	}
}
