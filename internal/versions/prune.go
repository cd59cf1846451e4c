package versions

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// listsLonger is how much longer lists are kept: a check reads its own once more after a
// repair, which takes up to two hours.
const listsLonger = 2 * time.Hour

// Prune removes objects that were written more than olderThan ago and that
// their zone's newest version does not name, lists two hours later, and the chunks
// of uploads that were never finished. Nothing is removed that could not be looked up.
func (s *Store) Prune(ctx context.Context, olderThan time.Duration) error {
	if err := s.prune(broker.Bounded(ctx), time.Now().Add(-olderThan)); err != nil {
		return fmt.Errorf("prune snapshots: %w", explain(err))
	}
	return nil
}

func (s *Store) prune(ctx context.Context, limit time.Time) error {
	stream, err := s.js.Stream(ctx, "OBJ_"+broker.BucketSnapshots)
	if err != nil {
		return err
	}
	// Chunks before objects: an upload that finishes in between is then found
	// as an object.
	unfinished, err := subjects(ctx, stream, chunkPrefix)
	if err != nil {
		return err
	}
	objects, err := s.listObjects(ctx, stream)
	if err != nil {
		return err
	}
	var failed []error
	for _, object := range objects {
		delete(unfinished, object.NUID)
		kept := limit
		if isList(object.Name) {
			kept = limit.Add(-listsLonger)
		}
		if object.ModTime.Before(kept) {
			failed = append(failed, s.removeUnnamed(ctx, object))
		}
	}
	for nuid := range unfinished {
		failed = append(failed, removeUnfinished(ctx, stream, nuid, limit))
	}
	return errors.Join(failed...)
}

// listObjects returns every object, and every marker of a removed one. It asks
// for each by name: the library's own list is a watch, which ends early
// without an error when the connection goes, and what it left out would be
// removed as unfinished.
func (s *Store) listObjects(ctx context.Context, stream jetstream.Stream) ([]*jetstream.ObjectInfo, error) {
	store, err := s.objectStore(ctx)
	if err != nil {
		return nil, err
	}
	names, err := subjects(ctx, stream, metaPrefix)
	if err != nil {
		return nil, err
	}
	var objects []*jetstream.ObjectInfo
	for encoded := range names {
		name, err := base64.URLEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("object name %s: %w", encoded, err)
		}
		info, err := store.GetInfo(ctx, string(name), jetstream.GetObjectInfoShowDeleted())
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			continue // removed meanwhile, by another primary
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, info)
	}
	return objects, nil
}

// removeUnnamed removes an object unless the newest version of its zone names
// it, as its own or as its base's. Without any version nobody can tell. An object that
// is not one of ours by its name is left alone.
func (s *Store) removeUnnamed(ctx context.Context, object *jetstream.ObjectInfo) error {
	if isList(object.Name) {
		return s.removeObject(ctx, object.Name)
	}
	zone, ours := zoneOf(object.Name)
	if !ours {
		return nil
	}
	newest, _, err := s.Newest(ctx, zone)
	if errors.Is(err, ErrNone) {
		return nil // the bucket of entries may be lost, and about to be restored
	}
	if err != nil || newest.Holds(object.Name) {
		return err
	}
	return s.removeObject(ctx, object.Name)
}

// zoneOf returns the zone whose content an object of this name holds; false
// where [objectName] did not make the name.
func zoneOf(name string) (string, bool) {
	key, _, found := strings.Cut(name, "/")
	zone, err := pdns.ZoneFromKey(key)
	return zone, found && err == nil
}

// removeUnfinished removes the chunks of an upload whose last chunk was
// written before limit.
func removeUnfinished(ctx context.Context, stream jetstream.Stream, nuid string, limit time.Time) error {
	last, err := stream.GetLastMsgForSubject(ctx, chunkPrefix+nuid)
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && !last.Time.Before(limit) {
		return nil
	}
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject(chunkPrefix+nuid))
}

// subjects returns what follows prefix in the subjects that the stream holds.
func subjects(ctx context.Context, stream jetstream.Stream, prefix string) (map[string]struct{}, error) {
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(prefix+">"))
	if err != nil {
		return nil, err
	}
	set := make(map[string]struct{}, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		set[strings.TrimPrefix(subject, prefix)] = struct{}{}
	}
	return set, nil
}
