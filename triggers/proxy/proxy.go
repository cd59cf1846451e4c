// Package proxy is the api-proxy: HTTPS in front of the local PowerDNS's API.
// Data comes from API clients and goes to PowerDNS unchanged, and the answer
// back; after a request that changed what a zone serves, an event goes to NATS.
//
// No change is lost, whenever this process is killed: before PowerDNS gets all of such
// a request, its intent is on disk (the outbox), and it is removed only after
// NATS has stored the event. Clients never wait for NATS.
package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// HeaderChangeID is the header of the answer to a request that changed a zone;
// the change's event and the sync's signal carry the same ID.
const HeaderChangeID = "X-Change-Id"

// Config says what a proxy stands between.
type Config struct {
	// Listen is the address to serve on, such as ":8443".
	Listen string
	// CertFile and KeyFile are PEM files; both empty: a self-signed certificate,
	// made once and kept in StateDir.
	CertFile, KeyFile string
	// StateDir is where the outbox is kept, and the self-signed certificate.
	StateDir string
	// PowerDNS is the base URL of the local PowerDNS's API, http://host:port.
	PowerDNS string
	// Primary is the ID of this primary; events carry it.
	Primary string
	// Publisher sends the events, usually a [jetstream.JetStream].
	Publisher Publisher
	// Subjects are those of the events.
	Subjects Subjects
	// Changed is told each change before its event goes out. It must not wait.
	// Optional.
	Changed func(pdns.Call)
	// Revision returns the revision of the entry of a zone's newest version, 0 for
	// none, and whether that is known here without asking. Optional: without it
	// Changed gets no answers to creations.
	Revision func(zone string) (uint64, bool)
	// Settled returns once what Changed began for a change has published something, has
	// ended, or with ctx, and whether secondaries now have something to apply. Optional:
	// without it events go out at once.
	Settled func(ctx context.Context, zone, changeID string) bool
	// Prove proves that the events are of a proxy of ours. Optional: without it
	// nobody can tell them from those of other programs.
	Prove Prover
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Log receives what an operator must know; never a key, query or body.
	Log *slog.Logger

	maxOutbox int // bytes, for tests
}

// Proxy is an http.Handler that forwards to PowerDNS and sends events.
type Proxy struct {
	cfg      Config
	upstream *url.URL
	reverse  *httputil.ReverseProxy
	relay    *relay
	metrics  *metrics
	log      *slog.Logger
	powerdns outage.Log
}

// New opens the outbox in cfg.StateDir. Call [Proxy.Run] next; it closes the
// outbox at its end.
func New(cfg Config) (*Proxy, error) {
	upstream, err := url.Parse(cfg.PowerDNS)
	if err != nil || upstream.Scheme != "http" || upstream.Host == "" || strings.Trim(upstream.Path, "/") != "" {
		return nil, errors.New("powerdns.api_url must be http://host:port, without a path")
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("host.state_dir: %w", err)
	}
	box, err := openOutbox(filepath.Join(cfg.StateDir, "outbox.db"), cfg.maxOutbox)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer, box.pending)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("api-proxy metrics: %w", err), box.close())
	}
	p := &Proxy{
		cfg:      cfg,
		upstream: upstream,
		relay:    newRelay(box, publishTo(cfg.Publisher, cfg.Subjects, cfg.Primary, cfg.Prove), m, cfg.Log),
		metrics:  m,
		log:      cfg.Log,
		powerdns: outage.Log{Logger: cfg.Log, What: "forwarding to the PowerDNS API"},
	}
	p.relay.settled = cfg.Settled
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      traced{transport()},
		FlushInterval:  -1, // each piece at once
		ModifyResponse: p.answered,
		ErrorHandler:   p.failed,
		ErrorLog:       slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return p, nil
}

// Drain has left-over events published soon, without waiting: to be called when
// NATS is back.
func (p *Proxy) Drain() { p.relay.drainSoon() }

// exchange is what is known of one request on its way.
type exchange struct {
	class  class
	start  time.Time
	body   *body
	change atomic.Pointer[pending] // nil without an intent; written as the body is read
	// cut is set when PowerDNS took no more of the request.
	cut atomic.Bool
}

// complete tells whether PowerDNS may have got the whole request.
func (x *exchange) complete(f fate) bool { return f.passed && !x.cut.Load() }

type exchangeKey struct{}

// exchangeOf is the exchange of a request that ServeHTTP forwards, else nil.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// ServeHTTP forwards a request and returns when the answer is passed on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw := rawPath(r)
	x := &exchange{class: classify(r.Method, raw), start: time.Now()}
	switch {
	case r.Method == http.MethodConnect:
		p.refuse(w, r, x, http.StatusMethodNotAllowed, "the api-proxy forwards to the PowerDNS API only")
		return
	case !ofAPI(raw):
		p.refuse(w, r, x, http.StatusNotFound, "the api-proxy forwards to the PowerDNS API only, which is at /api")
		return
	}
	// An answer without a type gets none from us.
	w.Header()["Content-Type"] = nil
	var last func(string) error
	ctx, ended := r.Context(), func(error) {}
	if x.class.place != nowhere {
		ctx, ended = trace.Begin(ctx)
	}
	defer ended(nil)
	switch x.class.place {
	case inBody:
		last = func(name string) error { return p.beginNamed(ctx, x, name) }
	case inPath:
		last = func(string) error { return p.begin(ctx, x, x.class.zone) }
	}
	x.body = newBody(r, last, x.class.rrsets)
	if x.class.place == inPath && x.body.soFar().passed {
		if err := p.begin(ctx, x, x.class.zone); err != nil {
			p.noOutbox(w, r, x, err)
			return
		}
	}
	ctx = context.WithValue(ctx, exchangeKey{}, x)
	if x.class.place != nowhere {
		// PowerDNS finishes what it has begun, also when the client goes away. The
		// event must come after that, so we wait for the answer in any case.
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
	}
	// Left when the exchange ends by a panic (the client is gone): by then it is
	// usually settled.
	defer func() { p.settle(x, x.complete(x.body.end())) }()
	r = r.WithContext(ctx)
	r.Body = x.body
	p.reverse.ServeHTTP(w, r)
}

// begin writes the intent of a request: while PowerDNS, which readies a thread for each
// connection, waits for the body, or before anything is forwarded where there is none.
func (p *Proxy) begin(ctx context.Context, x *exchange, zone string) error {
	change, err := p.relay.begin(ctx, zone, x.class.kind, x.class.later)
	if err == nil && x.class.kind == pdns.ChangeAdd && p.cfg.Revision != nil {
		change.before, change.known = p.cfg.Revision(zone)
	}
	x.change.Store(change)
	return err
}

// beginNamed does so for a request that names its zone in its body. A name that is none
// is PowerDNS's to refuse.
func (p *Proxy) beginNamed(ctx context.Context, x *exchange, name string) error {
	if zone, bad := zoneFromName(name); bad == nil {
		return p.begin(ctx, x, zone)
	}
	return nil
}

// settle settles the exchange's change, if it has one. Call it after asking for
// the body's fate: the intent may be written while the body is read.
func (p *Proxy) settle(x *exchange, changed bool) {
	if change := x.change.Load(); change != nil {
		change.settle(changed)
	}
}

// rewrite leaves the request as it came but for where it goes.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	out := pr.Out
	out.URL.Scheme, out.URL.Host, out.URL.User = p.upstream.Scheme, p.upstream.Host, nil
	out.URL.RawQuery = pr.In.URL.RawQuery
	out.Host = pr.In.Host
	if raw := rawPath(pr.In); out.URL.EscapedPath() != raw && !strings.HasPrefix(raw, "//") {
		// The escapes as they came. HTTP/2 lets blanks through, at which PowerDNS would end the path.
		out.URL.Opaque = strings.ReplaceAll(raw, " ", "%20")
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := pr.In.Header[name]; ok {
			out.Header[name] = values
		}
	}
	// Our server has already told the client to continue.
	out.Header.Del("Expect")
}

// rawPath is the path of a request as it came, without the query.
func rawPath(r *http.Request) string {
	raw := r.RequestURI
	if !strings.HasPrefix(raw, "/") {
		return r.URL.EscapedPath() // "*", or a whole URL
	}
	raw, _, _ = strings.Cut(raw, "?")
	return raw
}

// answered settles the change as soon as PowerDNS's status is known; the event
// goes out while the client reads.
func (p *Proxy) answered(res *http.Response) error {
	x := exchangeOf(res.Request.Context())
	p.powerdns.OK()
	p.count(res.Request, x, res.StatusCode)
	sent := x.body.soFar()
	if !sent.passed {
		x.cut.Store(true) // it has answered, and takes no more
	}
	changed := x.complete(sent) && x.class.changedBy(res.StatusCode)
	change := x.change.Load()
	if change == nil {
		if x.class.place == inBody && res.StatusCode < 300 {
			p.metrics.unnamed.Inc()
			p.log.Warn("PowerDNS made a zone whose name the api-proxy could not read; sync it with: pdns-distribute resync ZONE", "status", res.StatusCode)
		}
		return nil
	}
	change.taken = res.StatusCode/100 == 2
	if x.class.rrsets {
		change.rrsets = x.body.says().rrsets
	}
	if changed {
		res.Header.Set(HeaderChangeID, change.ChangeID)
	}
	p.log.Debug("change", "zone", change.Zone, "change_id", change.ChangeID, "kind", change.Kind, "status", res.StatusCode, "changed", changed)
	if change.taken && changed && p.cfg.Changed != nil {
		call := pdns.Call{Zone: change.Zone, Kind: change.Kind, ChangeID: change.ChangeID, RRsets: change.rrsets, Trace: change.Trace}
		if call.Kind == pdns.ChangeAdd {
			says := x.body.says()
			call.Made = says.settings
			// With a query it may be asked to leave RRsets out. The records of an RRset that
			// comes in parts may have different TTLs, of which the answer shows one.
			if change.known && says.whole && res.Request.URL.RawQuery == "" {
				call.Answer, call.Before = wholeAnswer(res), change.before
			}
		}
		p.cfg.Changed(call)
	}
	p.settle(x, changed)
	return nil
}

// maxAnswer is how many octets of an answer are kept in memory at most.
const maxAnswer = 64 << 10

// wholeAnswer returns an answer's body where it is small, nil otherwise; it is still
// to be passed on. PowerDNS sends it as one piece.
func wholeAnswer(res *http.Response) []byte {
	if res.ContentLength <= 0 || res.ContentLength > maxAnswer {
		return nil
	}
	data, err := io.ReadAll(res.Body)
	res.Body = &read{io.MultiReader(bytes.NewReader(data), res.Body), res.Body} // which goes on with the end, or the error
	if err != nil {
		return nil
	}
	return data
}

// read is a body whose begin was read.
type read struct {
	io.Reader
	io.Closer
}

// changedBy tells whether PowerDNS may have changed something, by its answer's
// status. After a 5xx it may: 4.7.3 answers 500 to a PUT with a bad nsec3param
// and has switched DNSSEC on. An event too many is harmless.
func (c class) changedBy(status int) bool {
	if status >= 400 && status < 500 {
		return c.partly && status == http.StatusUnprocessableEntity
	}
	return true
}
