package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// listStall is how long a listing waits for the next entry.
	listStall = 10 * time.Second
	// listAhead is how many octets of entries are on their way to a listing at once.
	// A watch, which the library lists with, lets the server send up to 32 MiB.
	listAhead = 4 << 20
	// listMessages is how many of them, which the library makes room for at once.
	listMessages = 4096
)

// Entry is one key of a bucket and its newest value.
type Entry struct {
	Key   string
	Value []byte
}

// Entries yields every entry of a key-value bucket, each key at least once; a
// key that is written meanwhile may come twice, or with the value that it had
// at first. An error ends the listing and means that it is incomplete; without
// one it is complete, which the library's own listing does not promise: that
// ends after as many messages as there were keys, so a key written twice
// meanwhile hides another (nats.go v1.55.0: 42 of 200 listings of 30 keys were
// short while two clients wrote).
func Entries(ctx context.Context, js jetstream.JetStream, bucket string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		l, err := newListing(ctx, js, bucket)
		if err != nil {
			yield(Entry{}, fmt.Errorf("list bucket %s: %w", bucket, Explain(err)))
			return
		}
		if len(l.missing) == 0 {
			return
		}
		goOn, err := l.pull(ctx, yield)
		if goOn && err == nil {
			goOn, err = l.ask(ctx, yield)
		}
		if goOn && err != nil {
			yield(Entry{}, fmt.Errorf("list bucket %s: %w", bucket, Explain(err)))
		}
	}
}

// listing is one listing of a bucket.
type listing struct {
	kv     jetstream.KeyValue
	stream jetstream.Stream
	// prefix is what subjects have before the key.
	prefix string
	// missing are the keys that were not seen yet.
	missing map[string]struct{}
}

func newListing(ctx context.Context, js jetstream.JetStream, bucket string) (l listing, err error) {
	ctx = Bounded(ctx)
	l.prefix = "$KV." + bucket + "."
	if l.kv, err = js.KeyValue(ctx, bucket); err != nil {
		return listing{}, err
	}
	if l.stream, err = js.Stream(ctx, "KV_"+bucket); err != nil {
		return listing{}, err
	}
	l.missing = make(map[string]struct{})
	for offset, total := 0, 1; offset < total; {
		p, err := subjects(ctx, js, bucket, offset)
		if err != nil {
			return listing{}, err
		}
		for subject := range p.State.Subjects {
			l.missing[strings.TrimPrefix(subject, l.prefix)] = struct{}{}
		}
		if len(p.State.Subjects) == 0 {
			break
		}
		offset, total = offset+len(p.State.Subjects), p.Total
	}
	return l, nil
}

// page is one of the pages that the server lists the subjects of a stream in, in their
// order, 100,000 each.
type page struct {
	State struct {
		Subjects map[string]uint64 `json:"subjects"`
	} `json:"state"`
	// Total counts the subjects of all pages.
	Total int                 `json:"total"`
	Error *jetstream.APIError `json:"error"`
}

// subjects lists a bucket's subjects from that one on. The library's own listing gives
// all pages 5 s, and where a subject comes before the end of one that it has read, asks
// for the last one until then (nats.go v1.55.0).
func subjects(ctx context.Context, js jetstream.JetStream, bucket string, offset int) (p page, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	question, err := json.Marshal(map[string]any{"subjects_filter": ">", "offset": offset})
	if err != nil {
		return p, err
	}
	answer, err := js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.INFO.KV_"+bucket, question)
	if err != nil {
		return p, err
	}
	if err = json.Unmarshal(answer.Data, &p); err == nil && p.Error != nil {
		err = p.Error
	}
	return p, err
}

// pull yields the newest entry of each key as they come, and takes the keys seen out of
// missing. It returns false when the caller wants no more.
func (l listing) pull(ctx context.Context, yield func(Entry, error) bool) (bool, error) {
	consumer, err := l.stream.CreateConsumer(Bounded(ctx), jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubject: l.prefix + ">", AckPolicy: jetstream.AckNonePolicy,
		InactiveThreshold: 3 * listStall, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return true, err
	}
	defer l.end(ctx, consumer)
	if consumer.CachedInfo().NumPending == 0 {
		return true, nil
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(listMessages, listAhead))
	if err != nil {
		return true, err
	}
	defer messages.Stop()
	for {
		entry, isPut, left, err := l.next(ctx, messages)
		if err != nil {
			return true, err
		}
		delete(l.missing, entry.Key)
		if isPut && !yield(entry, nil) {
			return false, nil
		}
		if left == 0 {
			return true, nil
		}
	}
}

// end has the server forget the consumer, which it else does by itself.
func (l listing) end(ctx context.Context, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = l.stream.DeleteConsumer(ctx, consumer.CachedInfo().Name)
}

// next returns the next entry, whether it is none of a key that was deleted, and how many
// follow.
func (l listing) next(ctx context.Context, messages jetstream.MessagesContext) (entry Entry, isPut bool, left uint64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listStall, fmt.Errorf("nothing came for %v", listStall))
	defer cancel()
	message, err := messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return Entry{}, false, 0, cmp.Or(context.Cause(ctx), err)
	}
	meta, err := message.Metadata()
	if err != nil {
		return Entry{}, false, 0, err
	}
	return Entry{strings.TrimPrefix(message.Subject(), l.prefix), message.Data()}, !deleted(message.Headers()), meta.NumPending, nil
}

// deleted tells the marker of a deleted key (NATS ADR-8) from an entry.
func deleted(h nats.Header) bool {
	operation, reason := h.Get("KV-Operation"), h.Get(jetstream.MarkerReasonHeader)
	return slices.Contains([]string{"DEL", "PURGE"}, operation) || operation == "" && slices.Contains([]string{"MaxAge", "Purge", "Remove"}, reason)
}

// ask yields the entries of the keys that did not come; those deleted meanwhile are
// left out.
func (l listing) ask(ctx context.Context, yield func(Entry, error) bool) (bool, error) {
	for key := range l.missing {
		entry, err := l.kv.Get(Bounded(ctx), key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return true, err
		}
		if !yield(Entry{entry.Key(), entry.Value()}, nil) {
			return false, nil
		}
	}
	return true, nil
}
