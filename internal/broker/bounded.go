package broker

import (
	"context"
	"time"
)

// Bounded returns ctx for questions to NATS, each of which the library then
// bounds to 5 s, besides the deadline of ctx.
//
// A question that was sent just before the connection broke is never
// answered, and the library waits for it as long as its context has: in an
// activity that is minutes, although NATS is back after a second. Where a
// context shows no deadline the library sets its own one for each question.
func Bounded(ctx context.Context) context.Context { return bounded{ctx} }

type bounded struct{ context.Context }

// Deadline hides the deadline; Done still tells when it has come.
func (bounded) Deadline() (time.Time, bool) { return time.Time{}, false }
