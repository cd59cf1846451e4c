package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

const (
	// Redelivery of an event that Temporal did not take: at first soon, then
	// every maxDelay.
	firstDelay = 200 * time.Millisecond
	maxDelay   = 5 * time.Second

	// Bounds of what comes from outside: the head of a dead event that is kept,
	// its reason, and the hints that go into a workflow's history.
	maxDead   = 64 << 10
	maxReason = 1000
	maxHint   = 128

	// maxBatchName bounds, in bytes, the zone names that go into batches. Plain
	// names have 254 at most, one whose octets are all escaped has 1,000.
	maxBatchName = 500
)

// handle hands one event to Temporal, and acknowledges it, gives it back or
// buries it.
func (c *Consumer) handle(ctx context.Context, msg jetstream.Msg) {
	defer c.keep(msg)()
	event, err := pdns.ParseEvent(msg.Data())
	if err != nil {
		c.bury(ctx, msg, err)
		return
	}
	start := time.Now()
	ctx, ended := trace.Start(trace.Join(ctx, msg.Headers().Get(trace.HeaderName)), "trigger event")
	err = c.dispatch(ctx, event, identity(msg))
	ended(err)
	c.metrics.seconds.Observe(time.Since(start).Seconds())
	switch {
	case errors.Is(err, dispatch.ErrImpossible):
		c.bury(ctx, msg, err)
	case err != nil:
		c.temporal.Failed(withoutZone(err))
		c.giveBack(msg)
	default:
		c.temporal.OK()
		c.done(msg, "accepted", msg.Ack())
	}
}

// keep tells NATS that the event is being handled until the returned release is
// called, so that only that of a dead primary goes to another one.
func (c *Consumer) keep(msg jetstream.Msg) (release func()) {
	done := make(chan struct{})
	c.handlers.Go(func() {
		ticker := time.NewTicker(keepEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if err := msg.InProgress(); err != nil {
					c.log.Debug("NATS may deliver a zone event again, since it could not be told that it is being handled", "subject", msg.Subject(), "error", err)
				}
			}
		}
	})
	return func() { close(done) }
}

// dispatch starts the zone's own sync, or puts the event into a batch where too
// many zones change at once.
func (c *Consumer) dispatch(ctx context.Context, event pdns.Event, id string) error {
	proxied, err := c.cfg.proven(ctx, event)
	if err != nil {
		return err
	}
	of := sort{primary: hint(event.Primary), taken: event.Taken && proxied != pdns.NotProxied, proxied: proxied}
	// A name that may be too long for a workflow ID is left to SyncZone to refuse.
	if len(event.Zone) <= maxBatchName && !c.pace.alone(event.Zone, time.Now()) {
		err := c.batches.add(ctx, event.Zone, hint(event.ChangeID), of, id)
		if !errors.Is(err, dispatch.ErrImpossible) {
			return err
		}
		// One of the batch can never work; each by itself shows which.
	}
	return c.cfg.Dispatcher.SyncZone(ctx,
		workflows.SyncZoneInput{Zone: event.Zone, Trigger: workflows.TriggerEvent, Primary: of.primary, Proxied: of.proxied},
		workflows.ZoneChange{
			ChangeID:  hint(event.ChangeID),
			CreatedAt: event.CreatedAt,
			Primary:   of.primary,
			Taken:     of.taken,
			Trigger:   workflows.TriggerEvent,
			Proxied:   of.proxied,
		})
}

// hint drops a hint that is longer than any of ours.
func hint(s string) string {
	if len(s) > maxHint {
		return ""
	}
	return s
}

// withoutZone is the cause that the dispatcher has put a zone's name to: during
// an outage it is the same for all zones and is logged once.
func withoutZone(err error) error {
	if cause := errors.Unwrap(err); cause != nil {
		return cause
	}
	return err
}

// giveBack has the event delivered again after a while.
func (c *Consumer) giveBack(msg jetstream.Msg) {
	var delivered uint64 = 1
	if meta, err := msg.Metadata(); err == nil {
		delivered = meta.NumDelivered
	}
	c.done(msg, "retried", msg.NakWithDelay(delay(delivered)))
}

// delay is how long an event waits after its n-th delivery failed, n from 1.
func delay(n uint64) time.Duration {
	return min(firstDelay<<min(n-1, 10), maxDelay)
}

// bury puts an event that can never work into the dead letters and ends its
// delivery. It is given back where the dead letters cannot be reached.
func (c *Consumer) bury(ctx context.Context, msg jetstream.Msg, reason error) {
	dead := nats.NewMsg(broker.SubjectDead)
	dead.Header.Set(broker.HeaderReason, headerValue(reason.Error()))
	dead.Header.Set(broker.HeaderSubject, headerValue(msg.Subject()))
	dead.Data = msg.Data()[:min(len(msg.Data()), maxDead)]
	id := "dead/" + identity(msg)
	_, err := c.cfg.JetStream.PublishMsg(ctx, dead, jetstream.WithMsgID(id), jetstream.WithExpectStream(broker.StreamDead))
	if err != nil {
		c.nats.Failed(fmt.Errorf("put a zone event that can never work into stream %s: %w", broker.StreamDead, broker.Explain(err)))
		c.giveBack(msg)
		return
	}
	c.log.Warn("a zone event can never work and was put into the dead letters",
		"stream", broker.StreamDead, "reason", dead.Header.Get(broker.HeaderReason), "subject", msg.Subject())
	c.done(msg, "dead", msg.TermWithReason(dead.Header.Get(broker.HeaderReason)))
}

// identity tells an event from all others, so that it is buried once, and so
// that a batch delivered again is known.
func identity(msg jetstream.Msg) string {
	meta, err := msg.Metadata()
	if err != nil {
		return nats.NewInbox()
	}
	// Sequences begin anew with the stream, times do not.
	return fmt.Sprintf("%d/%d", meta.Sequence.Stream, meta.Timestamp.UnixNano())
}

// done counts what became of an event. Where NATS was not told, it delivers the
// event again, and the sync looks once more.
func (c *Consumer) done(msg jetstream.Msg, result string, err error) {
	if err != nil {
		c.log.Debug("NATS delivers a zone event again, since it could not be told what became of it", "subject", msg.Subject(), "result", result, "error", err)
		result = "unacknowledged"
	}
	c.metrics.events.WithLabelValues(result).Inc()
}

// headerValue makes text from outside fit for a header.
func headerValue(s string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s[:min(len(s), maxReason)])
	return strings.TrimSpace(clean)
}
