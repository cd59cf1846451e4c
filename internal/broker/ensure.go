package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// DefaultSubjects are the subjects of zone events where none are configured.
var DefaultSubjects = []string{"zone.add", "zone.modified", "zone.delete"}

const (
	// duplicateWindow is how long JetStream remembers an event's change ID, so
	// that an outbox may publish the same event again.
	duplicateWindow = 2 * time.Minute
	// deadAge and deadBytes bound what is kept of events that can never work.
	deadAge   = 30 * 24 * time.Hour
	deadBytes = 64 << 20
)

// Ensure makes the streams and buckets that are missing and returns their names.
// Of those that exist it changes only what the system cannot live with (see
// [mend]); all other settings are the operator's. Doing so twice, or
// from two primaries at once, is harmless. Parts that could be made are made
// also when another one fails.
func Ensure(ctx context.Context, js jetstream.JetStream, cfg Config) (created []string, err error) {
	var failed []error
	for _, want := range cfg.streams() {
		made, err := ensure(ctx, js, want)
		if err != nil {
			failed = append(failed, fmt.Errorf("NATS stream %s: %w", want.Name, Explain(err)))
		}
		if made {
			created = append(created, want.Name)
		}
	}
	return created, errors.Join(failed...)
}

// Oldest returns when the oldest of the streams and buckets was made; zero where
// none exists.
func Oldest(ctx context.Context, js jetstream.JetStream, cfg Config) (time.Time, error) {
	var oldest time.Time
	for _, kept := range cfg.streams() {
		stream, err := js.Stream(ctx, kept.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("NATS stream %s: %w", kept.Name, Explain(err))
		}
		if created := stream.CachedInfo().Created; oldest.IsZero() || created.Before(oldest) {
			oldest = created
		}
	}
	return oldest, nil
}

func ensure(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) (created bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	have, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		// Not given up with ctx: NATS may make it all the same, and nobody would say so.
		have, err = js.CreateStream(context.WithoutCancel(ctx), want)
		if err == nil {
			return true, nil
		}
		// Another primary, configured differently, was quicker.
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			have, err = js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return false, err
	}
	mended, changed, err := mend(have.CachedInfo().Config, want)
	if err != nil || !changed {
		return false, err
	}
	_, err = js.UpdateStream(ctx, mended)
	return false, err
}

// mend returns have with those settings changed without which a promise of
// the system breaks: nothing unacknowledged and no newest version may expire
// or be pushed out, reads come from the leader, all subjects are taken in, and
// there are at least as many replicas as configured.
func mend(have, want jetstream.StreamConfig) (jetstream.StreamConfig, bool, error) {
	if have.Retention != want.Retention {
		return have, false, fmt.Errorf("has retention %v where %v is needed, which NATS cannot change: "+
			"when it is empty, remove it with `nats stream rm %s`, it is made anew within a minute",
			have.Retention, want.Retention, have.Name)
	}
	changed := false
	for _, subject := range want.Subjects {
		if !slices.Contains(have.Subjects, subject) {
			have.Subjects, changed = append(slices.Clone(have.Subjects), subject), true
		}
	}
	if have.Replicas < want.Replicas {
		have.Replicas, changed = want.Replicas, true
	}
	if have.Name == StreamDead {
		return have, changed, nil
	}
	changed = set(&have.MaxAge, want.MaxAge) || changed
	changed = set(&have.MaxMsgsPerSubject, want.MaxMsgsPerSubject) || changed
	changed = set(&have.Discard, want.Discard) || changed
	changed = set(&have.AllowDirect, want.AllowDirect) || changed
	changed = set(&have.AllowRollup, want.AllowRollup) || changed
	return have, changed, nil
}

// set gives *have the value want and reports whether that changed it.
func set[T comparable](have *T, want T) bool {
	changed := *have != want
	*have = want
	return changed
}

// streams returns the streams, and those behind the buckets, as they are made.
// The buckets are written out as streams, as NATS architecture records ADR-8
// (key-value) and ADR-20 (object store) define them, because the library
// makes every bucket with direct reads: any replica answers those, also one that
// lags, and a secondary would take an old version for the newest. Without
// them the leader of the stream answers.
func (cfg Config) streams() []jetstream.StreamConfig {
	subjects := cfg.Subjects
	if len(subjects) == 0 {
		subjects = DefaultSubjects
	}
	replicas := max(cfg.Replicas, 1)
	return []jetstream.StreamConfig{
		{
			Name:        StreamEvents,
			Description: "zone events, until Temporal has taken them",
			Subjects:    subjects,
			Retention:   jetstream.WorkQueuePolicy,
			Discard:     jetstream.DiscardNew,
			Storage:     jetstream.FileStorage,
			Replicas:    replicas,
			Duplicates:  duplicateWindow,
			// -1: no limit a subject, as the server writes it.
			MaxMsgsPerSubject: -1,
		},
		{
			Name:        StreamDead,
			Description: "zone events that can never work, each with its reason",
			Subjects:    []string{SubjectDead},
			Storage:     jetstream.FileStorage,
			Replicas:    replicas,
			MaxAge:      deadAge,
			MaxBytes:    deadBytes,
		},
		keyValue(BucketZones, "newest version of each zone", replicas),
		keyValue(BucketSecondaries, "secondaries that every zone must reach", replicas),
		keyValue(BucketGuard, "deletes of late, and the key of the events' proofs", replicas),
		keyValue(BucketHeld, "changes that wait for a person's word", replicas),
		{
			Name:              "OBJ_" + BucketSnapshots,
			Description:       "content of zones too large for " + BucketZones,
			Subjects:          []string{"$O." + BucketSnapshots + ".C.>", "$O." + BucketSnapshots + ".M.>"},
			Storage:           jetstream.FileStorage,
			Replicas:          replicas,
			Discard:           jetstream.DiscardNew,
			MaxMsgsPerSubject: -1,
			AllowRollup:       true,
		},
	}
}

func keyValue(bucket, description string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              "KV_" + bucket,
		Description:       description,
		Subjects:          []string{"$KV." + bucket + ".>"},
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		Discard:           jetstream.DiscardNew,
		MaxMsgsPerSubject: 1,
		AllowRollup:       true,
		DenyDelete:        true,
	}
}
