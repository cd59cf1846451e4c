package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// readyTimeout bounds one look at all readiness checks.
const readyTimeout = 3 * time.Second

// Readiness gathers named checks. A process is ready when all of them pass;
// liveness is nothing but an answer.
type Readiness struct {
	mu     sync.Mutex
	checks map[string]func(context.Context) error
}

// Add names a check. It is asked at each request to /readyz, at the same time as
// the others, and should end with its context. A second check of the same name
// replaces the first.
func (r *Readiness) Add(name string, check func(context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.checks == nil {
		r.checks = map[string]func(context.Context) error{}
	}
	r.checks[name] = check
}

// Failing asks every check and returns what each failing one says. A check that
// has not answered when ctx ends is failing.
func (r *Readiness) Failing(ctx context.Context) map[string]string {
	type answer struct {
		name string
		err  error
	}
	r.mu.Lock()
	waiting := make(map[string]bool, len(r.checks))
	answers := make(chan answer, len(r.checks)) // room for all: a late one blocks nobody
	for name, check := range r.checks {
		waiting[name] = true
		go func() { answers <- answer{name, check(ctx)} }()
	}
	r.mu.Unlock()

	failing := map[string]string{}
	for len(waiting) > 0 {
		select {
		case a := <-answers:
			delete(waiting, a.name)
			if a.err != nil {
				failing[a.name] = a.err.Error()
			}
		case <-ctx.Done():
			for name := range waiting {
				failing[name] = fmt.Sprintf("no answer: %v", ctx.Err())
			}
			return failing
		}
	}
	return failing
}

// ServeHTTP answers 200 {"ready":true}, or 503 with what fails by name.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), readyTimeout)
	defer cancel()
	failing := r.Failing(ctx)
	w.Header().Set("Content-Type", "application/json")
	if len(failing) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// A failed write means that nobody listens any more.
	_ = json.NewEncoder(w).Encode(struct {
		Ready   bool              `json:"ready"`
		Failing map[string]string `json:"failing,omitempty"`
	}{len(failing) == 0, failing})
}
