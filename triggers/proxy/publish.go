package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// Publisher is the part of [jetstream.JetStream] that sends events.
type Publisher interface {
	// PublishMsg returns nil once the stream has stored the message.
	PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error)
}

// Prover returns the proof that an event of this kind comes from a proxy of ours.
type Prover func(ctx context.Context, event pdns.Event, kind pdns.ChangeKind) (string, error)

// Subjects are the NATS subjects of zone events, config section [events].
type Subjects struct {
	Add, Modified, Delete string
}

func (s Subjects) of(kind pdns.ChangeKind) string {
	switch kind {
	case pdns.ChangeAdd:
		return s.Add
	case pdns.ChangeDelete:
		return s.Delete
	}
	return s.Modified
}

// publishTo returns what sends an intent's event. NATS stores one event for
// each Nats-Msg-Id within the stream's window for duplicates, so that publishing
// twice is harmless. A second event is a change of its own: what was exported for
// the first does not answer it.
func publishTo(js Publisher, subjects Subjects, primary string, prove Prover) func(context.Context, intent) error {
	return func(ctx context.Context, i intent) error {
		id := i.ChangeID
		if !i.Due.IsZero() {
			id += "/second"
		}
		event := pdns.Event{Zone: i.Zone, CreatedAt: i.CreatedAt, ChangeID: id, Primary: primary, Taken: i.taken, RRsets: i.rrsets}
		if prove != nil {
			var err error
			if event.Proof, err = prove(ctx, event, i.Kind); err != nil {
				return fmt.Errorf("prove that an event is ours: %w", err)
			}
		}
		data, err := json.Marshal(event)
		if err != nil {
			return err
		}
		msg := &nats.Msg{Subject: subjects.of(i.Kind), Data: data}
		if header := trace.Header(ctx); header != "" {
			msg.Header = nats.Header{trace.HeaderName: []string{header}}
		}
		_, err = js.PublishMsg(ctx, msg,
			jetstream.WithMsgID(id), jetstream.WithExpectStream(broker.StreamEvents))
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			return fmt.Errorf("publish on %s: %w; the stream %s is missing or has other subjects, a running primary with its trigger makes it",
				subjects.of(i.Kind), err, broker.StreamEvents)
		}
		if err != nil {
			return fmt.Errorf("publish on %s: %w", subjects.of(i.Kind), broker.Explain(err))
		}
		return nil
	}
}
