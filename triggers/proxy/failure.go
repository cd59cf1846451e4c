package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// statusClientGone is what requests count as whose client went away before the answer.
const statusClientGone = 499

// noOutbox refuses a change that could be lost. PowerDNS did not get all of it.
func (p *Proxy) noOutbox(w http.ResponseWriter, r *http.Request, x *exchange, err error) {
	p.log.Error("a change was refused since it cannot be noted durably: is the disk full, is host.state_dir writable?", "error", err)
	w.Header().Set("Retry-After", "5")
	p.refuse(w, r, x, http.StatusServiceUnavailable,
		"api-proxy: this change cannot be noted durably and was not forwarded to its end, nothing was changed; see to the disk of host.state_dir: "+err.Error())
}

// failed answers for PowerDNS when it gave no answer.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	body := x.body.end()
	if body.kept != nil {
		p.noOutbox(w, r, x, body.kept)
		return
	}
	if x.class.place == nowhere && r.Context().Err() != nil { // nobody waits for the answer, and PowerDNS is not to blame
		p.count(r, x, statusClientGone)
		w.WriteHeader(http.StatusBadGateway) // for one that only stopped sending
		return
	}
	changed := x.complete(body) && !unreached(err)
	if change := x.change.Load(); change != nil && changed {
		w.Header().Set(HeaderChangeID, change.ChangeID)
	}
	p.settle(x, changed)
	if body.broken != nil {
		p.refuse(w, r, x, http.StatusBadRequest, "api-proxy: the request's body broke off: "+body.broken.Error())
		return
	}
	err = fmt.Errorf("no answer from the PowerDNS API at %s: %w", p.upstream, err)
	p.powerdns.Failed(err)
	p.refuse(w, r, x, http.StatusBadGateway, fmt.Sprintf("api-proxy: %v; is pdns_server running, with api=yes and webserver=yes, and is powerdns.api_url right?", err))
}

// unreached tells that no connection to PowerDNS was made.
func unreached(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// refuse answers with an error of our own, in the form of PowerDNS's.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, x *exchange, status int, message string) {
	p.count(r, x, status)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	answer := json.NewEncoder(w)
	answer.SetEscapeHTML(false)
	_ = answer.Encode(map[string]string{"error": message}) // a client that is gone reads no answer
}

func (p *Proxy) count(r *http.Request, x *exchange, status int) {
	method := methodLabel(r.Method)
	p.metrics.requests.WithLabelValues(method, codeLabel(status)).Inc()
	p.metrics.seconds.WithLabelValues(method).Observe(time.Since(x.start).Seconds())
}
