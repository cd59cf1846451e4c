package versions

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// openTimeout bounds the reading of an object whose caller gives no deadline;
	// the library's own bound of 5 s is too short for a zone of a million records.
	openTimeout = 10 * time.Minute
	// putTimeout bounds the writing of one, for the same reason: an acknowledgement that
	// never comes, since the stream's leader changed, is waited for as long.
	putTimeout = time.Minute
	// stallTimeout bounds the wait for an object's begin and for each further piece.
	// Whoever reads holds a zone's lock, and PowerDNS gives a transfer up after 10 s.
	stallTimeout = 5 * time.Second
)

// errStalled says that NATS went silent in the midst of an object.
var errStalled = fmt.Errorf("NATS sent nothing more for %s", stallTimeout)

// Subjects of the object store's stream, NATS architecture record ADR-20.
const (
	chunkPrefix = "$O." + broker.BucketSnapshots + ".C."
	metaPrefix  = "$O." + broker.BucketSnapshots + ".M."
)

// objectName is fresh for each publication: an object is never overwritten
// while someone reads it, and two publishers never share one.
func objectName(v pdns.Version) string {
	return pdns.ZoneKey(v.Zone) + "/" + strconv.FormatInt(v.Version, 10) + "-" + uuid.NewString()
}

func (s *Store) objectStore(ctx context.Context) (jetstream.ObjectStore, error) {
	s.mu.Lock()
	objects := s.objects
	s.mu.Unlock()
	if objects != nil {
		return objects, nil
	}
	objects, err := s.js.ObjectStore(ctx, broker.BucketSnapshots)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.objects = objects
	s.mu.Unlock()
	return objects, nil
}

// putObject streams content into a new object, reads it back, and returns its size in
// bytes. The library sends all pieces at once, and again those for which there was no
// leader of the stream at that moment: by then others are stored before them, and it has
// put another piece in their place (nats.go v1.55.0). Nobody would publish the zone anew
// because of that.
func (s *Store) putObject(ctx context.Context, name string, content io.Reader) (int64, error) {
	objects, err := s.objectStore(broker.Bounded(ctx))
	if err != nil {
		return 0, err
	}
	size, err := put(ctx, objects, name, content)
	if err != nil {
		return 0, fmt.Errorf("write object %s: %w", name, err)
	}
	if err := s.readBack(ctx, name); err != nil {
		return 0, errors.Join(fmt.Errorf("read object %s back: %w", name, explain(err)), s.removeObject(ctx, name))
	}
	return size, nil
}

// readBack reads an object to its end, which fails where its digest is another.
func (s *Store) readBack(ctx context.Context, name string) error {
	stored, err := s.openObject(ctx, name)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stored)
	return errors.Join(err, stored.Close())
}

// put writes an object. All of its pieces together have putTimeout, and what is asked
// before the first one stallTimeout.
func put(ctx context.Context, objects jetstream.ObjectStore, name string, content io.Reader) (int64, error) {
	ctx, stop := context.WithTimeout(ctx, putTimeout)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	asked := time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	defer asked.Stop()
	info, err := objects.Put(ctx, jetstream.ObjectMeta{Name: name}, filling{content, asked})
	if err != nil {
		return 0, cmp.Or(context.Cause(ctx), err)
	}
	return int64(info.Size), nil
}

// filling reads until the buffer is full: the library makes one message of each
// Read, however little a pipe gave. It stops the timer.
type filling struct {
	r     io.Reader
	asked *time.Timer
}

func (f filling) Read(p []byte) (n int, err error) {
	f.asked.Stop()
	for n < len(p) && err == nil {
		var got int
		got, err = f.r.Read(p[n:])
		n += got
	}
	return n, err
}

func (s *Store) openObject(ctx context.Context, name string) (io.ReadCloser, error) {
	objects, err := s.objectStore(broker.Bounded(ctx))
	if err != nil {
		return nil, explain(err)
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	asked := time.AfterFunc(stallTimeout, cancel)
	object, err := objects.Get(pieceByPiece{ctx}, name)
	if !asked.Stop() { // whatever came of it, its context has ended
		if err == nil {
			_ = object.Close() // nothing was read
		}
		err = errStalled
	}
	if err != nil {
		cancel()
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			return nil, ErrGone
		}
		return nil, fmt.Errorf("read object %s: %w", name, explain(err))
	}
	return &objectReader{object, cancel}, nil
}

// pieceByPiece has the library give each piece of an object stallTimeout: it
// takes the deadline of its context for each Read, and waits that long where the
// connection broke in between, or the question for the object went with it.
type pieceByPiece struct{ context.Context }

// Deadline moves on; Done still tells when that of the whole has come.
func (p pieceByPiece) Deadline() (time.Time, bool) { return time.Now().Add(stallTimeout), true }

// objectReader ends the object's subscription when it is closed.
type objectReader struct {
	jetstream.ObjectResult
	cancel context.CancelFunc
}

// Read fails where the next piece does not come in time; the library then
// returns nothing and no error.
func (r *objectReader) Read(p []byte) (int, error) {
	n, err := r.ObjectResult.Read(p)
	if n == 0 && err == nil && len(p) > 0 {
		err = errStalled
	}
	return n, err
}

func (r *objectReader) Close() error {
	defer r.cancel()
	return r.ObjectResult.Close()
}

// removeObject deletes an object and the marker that the library leaves in its
// place, which would stay for ever since names are never used again.
func (s *Store) removeObject(ctx context.Context, name string) error {
	ctx = broker.Bounded(ctx)
	objects, err := s.objectStore(ctx)
	if err != nil {
		return err
	}
	if err := objects.Delete(ctx, name); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return fmt.Errorf("remove object %s: %w", name, err)
	}
	stream, err := s.js.Stream(ctx, "OBJ_"+broker.BucketSnapshots)
	if err != nil {
		return err
	}
	marker := metaPrefix + base64.URLEncoding.EncodeToString([]byte(name))
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(marker)); err != nil {
		return fmt.Errorf("remove the marker of object %s: %w", name, err)
	}
	return nil
}
