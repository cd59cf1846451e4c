package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Explain adds to an error of the NATS library what to look at: the key of
// the configuration that it most likely comes from. Nil stays nil.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if hint := hint(err); hint != "" {
		return fmt.Errorf("%w: %s", err, hint)
	}
	return err
}

// NotOurs is the error about an entry of a bucket that cannot be read.
func NotOurs(bucket, key string, err error) error {
	return fmt.Errorf("entry %s of bucket %s was not written by pdns-distribute (%w), remove it with `nats kv del %[2]s %[1]s`", key, bucket, err)
}

func hint(err error) string {
	var (
		unknownCA x509.UnknownAuthorityError
		hostname  x509.HostnameError
		verify    *tls.CertificateVerificationError
		alert     tls.AlertError
	)
	text := err.Error()
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return "the server refused our credentials, look at nats.creds_file, or nats.user and nats.password_file, or nats.cert_file"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "the server at nats.urls offers no TLS, which is required"
	case errors.Is(err, nats.ErrReconnectBufExceeded): // with no buffer, that is at once
		return "there is no connection to nats.urls at the moment"
	case errors.Is(err, nats.ErrNoServers):
		return "no server answers at nats.urls"
	case errors.As(err, &unknownCA):
		return "the server's certificate is not signed by an authority in nats.ca_file"
	case errors.As(err, &hostname):
		return "the server's certificate is not for the host in nats.urls"
	case errors.As(err, &verify):
		return "the server's certificate does not pass nats.ca_file"
	case errors.As(err, &alert), strings.Contains(text, "remote error: tls"):
		return "the server refused our certificate, look at nats.cert_file and nats.key_file"
	case strings.Contains(text, "permissions violation"):
		return "the user of nats.creds_file or nats.user lacks this permission"
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, jetstream.ErrNoStreamResponse):
		return "NATS did not answer: it is overloaded, the stream has no leader, or our user lacks the permission, which our log and NATS's say"
	}
	return ""
}
