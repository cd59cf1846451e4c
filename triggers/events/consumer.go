// Package events is the trigger for zone changes: it takes the zone events that
// api-proxies and other programs publish to NATS, and has each zone's sync look
// again, through the dispatcher. An event leaves NATS only after Temporal has
// it; one that can never work goes to a stream of its own, with the reason.
//
// All primaries share one durable consumer, so that each event is handled by
// one of them, and by another when that one dies.
package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// ConsumerName is the durable consumer that all primaries share; operators see
// it in `nats consumer info`.
const ConsumerName = "pdns-distribute-trigger"

const (
	// ackWait is after how long NATS gives an event of a dead primary to another.
	ackWait = 5 * time.Second
	// keepEvery is how often NATS is told that an event is being handled here still.
	keepEvery = 2 * time.Second
	// handleTimeout bounds that. It leaves Temporal its time (see
	// dispatch.DefaultTimeout) after the wait for a batch.
	handleTimeout = 15 * time.Second
	// stopTimeout bounds it where this process is being stopped.
	stopTimeout = 4 * time.Second
	// maxAckPending bounds the events under way or given back, of all primaries.
	maxAckPending = 2000
	// maxInFlight bounds the events under way in this process: two batches.
	maxInFlight = 2 * workflows.MaxBatch
	// pull is how long one request for events stands. With the heartbeat, a
	// request that NATS has lost is noticed within 2 s.
	pull      = 10 * time.Second
	heartbeat = time.Second
	// retryPause is between attempts to reach the consumer.
	retryPause = 500 * time.Millisecond
)

// Dispatcher hands a change to Temporal.
type Dispatcher interface {
	// SyncZone returns nil once Temporal has stored the change. An error that is
	// dispatch.ErrImpossible is final; after any other it is called again.
	SyncZone(ctx context.Context, in workflows.SyncZoneInput, change workflows.ZoneChange) error
	// SyncZones does so for many changes; batch names the changes in it.
	SyncZones(ctx context.Context, batch string, in workflows.SyncZonesInput) error
}

// Config says what a consumer stands between.
type Config struct {
	JetStream  jetstream.JetStream
	Dispatcher Dispatcher
	// Ensure makes the streams; called when the stream of events is missing.
	// Optional: without it, the consumer waits for others to make it.
	Ensure func(context.Context) error
	// Proven says what the API call of an event was, by its proof; an error means
	// that it cannot be told now. Optional: without it no event counts as an API
	// call.
	Proven func(ctx context.Context, event pdns.Event) (pdns.Proxied, error)
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	Log        *slog.Logger
}

// proven asks for the proof of an event.
func (cfg Config) proven(ctx context.Context, event pdns.Event) (pdns.Proxied, error) {
	if cfg.Proven == nil {
		return pdns.NotProxied, nil
	}
	return cfg.Proven(ctx, event)
}

// Consumer takes events from NATS. Run it once.
type Consumer struct {
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	nats     outage.Log
	temporal outage.Log
	pace     *pace
	batches  *batches
	slots    chan struct{} // one for each event that may be under way
	handlers sync.WaitGroup
}

// New returns a consumer; it connects to nothing.
func New(cfg Config) (*Consumer, error) {
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("zone event metrics: %w", err)
	}
	return &Consumer{
		cfg:      cfg,
		log:      cfg.Log,
		metrics:  m,
		nats:     outage.Log{Logger: cfg.Log, What: "taking zone events from NATS"},
		temporal: outage.Log{Logger: cfg.Log, What: "handing zone events to Temporal"},
		pace:     newPace(),
		batches:  newBatches(cfg.Dispatcher),
		slots:    make(chan struct{}, maxInFlight),
	}, nil
}

// Run handles events until ctx is done, then lets those under way end. It
// outlasts everything: NATS or Temporal being away, and stream or consumer being
// removed, which are made again.
func (c *Consumer) Run(ctx context.Context) error {
	defer c.handlers.Wait()
	for ctx.Err() == nil {
		err := c.consume(ctx)
		if ctx.Err() != nil {
			break
		}
		c.nats.Failed(broker.Explain(err))
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
	return nil
}

// consume makes sure of the durable consumer and takes events from it until
// that fails.
func (c *Consumer) consume(ctx context.Context) error {
	consumer, err := c.durable(ctx)
	if err != nil {
		return err
	}
	c.nats.OK()
	for ctx.Err() == nil {
		if err := c.take(ctx, consumer); err != nil {
			return err
		}
	}
	return nil
}

// durable makes the consumer, or gives the one that is there our settings.
func (c *Consumer) durable(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, ackWait)
	defer cancel()
	config := jetstream.ConsumerConfig{
		Durable:       ConsumerName,
		Description:   "hands zone events to Temporal, for all primaries",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxAckPending: maxAckPending,
		MaxDeliver:    -1,
	}
	consumer, err := c.cfg.JetStream.CreateOrUpdateConsumer(ctx, broker.StreamEvents, config)
	if errors.Is(err, jetstream.ErrStreamNotFound) && c.cfg.Ensure != nil {
		if err := c.cfg.Ensure(ctx); err != nil {
			return nil, err
		}
		consumer, err = c.cfg.JetStream.CreateOrUpdateConsumer(ctx, broker.StreamEvents, config)
	}
	if err != nil {
		return nil, fmt.Errorf("consumer %s of stream %s: %w", ConsumerName, broker.StreamEvents, err)
	}
	return consumer, nil
}

// take asks for as many events as may be under way and starts to handle each
// as it comes: no event waits here while its AckWait runs.
func (c *Consumer) take(ctx context.Context, consumer jetstream.Consumer) error {
	n := c.acquire(ctx)
	if n == 0 {
		return nil
	}
	pulling, cancel := context.WithTimeout(ctx, pull)
	defer cancel()
	batch, err := consumer.Fetch(n, jetstream.FetchContext(pulling), jetstream.FetchHeartbeat(heartbeat))
	if err != nil {
		c.release(n)
		return fmt.Errorf("ask for zone events: %w", err)
	}
	for msg := range batch.Messages() {
		n--
		c.handlers.Go(func() {
			defer c.release(1)
			handling, ended := outlasting(ctx)
			defer ended()
			c.handle(handling, msg)
		})
	}
	c.release(n)
	if err := batch.Error(); err != nil && pulling.Err() == nil {
		return fmt.Errorf("wait for zone events: %w", err)
	}
	return nil
}

// outlasting is the context of one event: it ends after handleTimeout, or
// stopTimeout after ctx.
func outlasting(ctx context.Context) (context.Context, context.CancelFunc) {
	handling, cancel := context.WithTimeout(context.WithoutCancel(ctx), handleTimeout)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopTimeout, cancel) })
	return handling, func() { stop(); cancel() }
}

// acquire takes all free slots; it waits for the first, and returns 0 only
// when ctx is done.
func (c *Consumer) acquire(ctx context.Context) int {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for n := 1; ; n++ {
		select {
		case c.slots <- struct{}{}:
		default:
			return n
		}
	}
}

func (c *Consumer) release(n int) {
	for range n {
		<-c.slots
	}
}
