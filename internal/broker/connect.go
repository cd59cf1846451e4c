package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

// requestTimeout bounds a question to JetStream whose context has no deadline.
const requestTimeout = 5 * time.Second

// Config says where NATS is, who we are there, and how its streams are made.
type Config struct {
	// URLs are the servers, all tls://; any of them leads to all.
	URLs []string
	// TLS names the CA and, where that is how we log in, our certificate.
	TLS tlsconf.Files
	// CredsFile is a .creds file (JWT and key).
	CredsFile string
	// User with PasswordFile logs in by password. Both files are read again at
	// each connection, so that renewed credentials are used.
	User, PasswordFile string
	// Replicas is how many servers keep each stream and bucket, 1 to 5.
	Replicas int
	// Subjects are those of the zone events.
	Subjects []string
	// OnReconnect is called, in order and from one goroutine, each time a lost
	// connection stands again; also when NATS was not there at first. It must
	// not block: the connection reports nothing else meanwhile. Optional.
	OnReconnect func()
}

// Connect connects to NATS and returns at once also when no server answers:
// the connection is then tried for ever, and log tells why it fails. An error
// means that the configuration can never work; it names the key. While the
// connection is down, requests fail at once instead of being held back and
// sent late.
//
// Close the connection with Drain or Close.
func Connect(ctx context.Context, cfg Config, name string, log *slog.Logger) (*nats.Conn, jetstream.JetStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	options, err := cfg.options(name)
	if err != nil {
		return nil, nil, err
	}
	options = append(append(options, cfg.states(log)...),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250*time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		// Credentials may be put right on the server or in our file.
		nats.IgnoreAuthErrorAbort(),
		// A server that hangs without closing is noticed within 15 s.
		nats.PingInterval(5*time.Second),
		nats.MaxPingsOutstanding(2),
		// No holding back: a write that its caller has given up on must not
		// reach the server later.
		nats.ReconnectBufSize(-1),
	)
	nc, err := nats.Connect(strings.Join(cfg.URLs, ","), options...)
	if err != nil {
		return nil, nil, Explain(err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(requestTimeout))
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("NATS JetStream: %w", err)
	}
	return nc, js, nil
}

// Reach logs in once and returns why that does not work, nil where it does: what
// is asked on a connection that never stood fails without the reason.
func Reach(cfg Config, name string) error {
	options, err := cfg.options(name)
	if err != nil {
		return err
	}
	nc, err := nats.Connect(strings.Join(cfg.URLs, ","), options...)
	if err != nil {
		return fmt.Errorf("log in at NATS: %w", Explain(err))
	}
	nc.Close()
	return nil
}

// options say who we are and how we log in.
func (cfg Config) options(name string) ([]nats.Option, error) {
	login, err := cfg.login()
	if err != nil {
		return nil, err
	}
	encryption, err := tlsconf.Client(cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("nats.ca_file, nats.cert_file or nats.key_file: %w", err)
	}
	return []nats.Option{login, nats.Name(name), nats.Secure(encryption), nats.Timeout(3 * time.Second)}, nil
}

// login checks the URLs and credentials and returns how we log in.
func (cfg Config) login() (nats.Option, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("nats.urls is empty: name at least one server, as tls://host:port")
	}
	for _, u := range cfg.URLs {
		parsed, err := url.Parse(u)
		if err != nil || parsed.Scheme != "tls" || parsed.Host == "" || parsed.User != nil {
			return nil, errors.New("nats.urls: every server must be written tls://host:port, without user or password")
		}
	}
	switch {
	case cfg.CredsFile != "":
		if _, err := os.ReadFile(cfg.CredsFile); err != nil {
			return nil, fmt.Errorf("nats.creds_file: %w", err)
		}
		return nats.UserCredentials(cfg.CredsFile), nil
	case cfg.User != "":
		if _, err := readSecret(cfg.PasswordFile); err != nil {
			return nil, fmt.Errorf("nats.password_file: %w", err)
		}
		return nats.UserInfoHandler(func() (string, string) {
			password, _ := readSecret(cfg.PasswordFile) // unreadable now: the server refuses us and that is logged
			return cfg.User, password
		}), nil
	case cfg.TLS.Cert != "":
		return func(*nats.Options) error { return nil }, nil
	}
	return nil, errors.New("nats: no credentials: set nats.creds_file, or nats.user with nats.password_file, or nats.cert_file with nats.key_file")
}

// states returns the callbacks that log what becomes of the connection.
func (cfg Config) states(log *slog.Logger) []nats.Option {
	state := &outage.Log{Logger: log, What: "NATS connection"}
	back := func(nc *nats.Conn) {
		state.OK("url", nc.ConnectedUrlRedacted())
		if cfg.OnReconnect != nil {
			cfg.OnReconnect()
		}
	}
	failed := func(_ *nats.Conn, err error) {
		if err != nil {
			state.Failed(Explain(err))
		}
	}
	// Each missing right is told once: nothing says when it has been granted.
	rights := &outage.Log{Logger: log, What: "a request to NATS"}
	late := false // touched by the connection's one callback goroutine only
	return []nats.Option{
		nats.ConnectHandler(func(nc *nats.Conn) {
			if late {
				back(nc)
			}
		}),
		nats.ReconnectHandler(back),
		nats.ReconnectErrHandler(func(nc *nats.Conn, err error) {
			late = true
			failed(nc, err)
		}),
		nats.DisconnectErrHandler(failed),
		nats.ErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
			switch {
			case sub == nil && errors.Is(err, nats.ErrPermissionViolation):
				rights.Failed(Explain(err))
			case sub == nil:
				failed(nil, err)
			case errors.Is(err, nats.ErrConsumerNotActive) && !nc.IsConnected(): // a watch, every ten seconds of an outage
			default:
				log.Warn("NATS subscription failed", "subject", sub.Subject, "error", err)
			}
		}),
	}
}

func readSecret(file string) (string, error) {
	if file == "" {
		return "", errors.New("is not set")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(data)), nil
}
