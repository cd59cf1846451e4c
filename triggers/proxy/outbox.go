package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// commitDelay is how long the first of several changes waits for others to
// share one fsync with it.
const commitDelay = 200 * time.Microsecond

// intent says that a request is about to change a zone. It stands in the outbox
// from before PowerDNS has all of the request until NATS has acknowledged its event.
type intent struct {
	// ChangeID is a UUID version 7, so that its order is that of time.
	ChangeID string          `json:"change_id"`
	Zone     string          `json:"zone"`
	Kind     pdns.ChangeKind `json:"kind"`
	// CreatedAt is when the request had come, but for its last octets.
	CreatedAt time.Time `json:"created_at"`
	// Later asks for a second event some time after the first: PowerDNS carries
	// the change out after it answered.
	Later bool `json:"later,omitempty"`
	// Due is when that second event is to go out; zero before the first.
	Due time.Time `json:"due,omitzero"`
	// Trace is the header of the request's trace; empty where it is not traced.
	Trace string `json:"trace,omitempty"`
	// taken says that PowerDNS answered with success. Not kept: of an intent
	// that was left over it is not known.
	taken bool
	// rrsets are those that it changed where known. Not kept either: a hint that is
	// of use at once or not at all.
	rrsets []pdns.RRsetName
	// before is the revision of the zone's entry that was known before the request
	// was forwarded, if known says so. Of use at once or not at all, as well.
	before uint64
	known  bool
}

// outbox is the durable list of intents, a bbolt file.
type outbox struct {
	db    *bbolt.DB
	count atomic.Int64
	// putting counts the intents that are being written.
	putting atomic.Int64
}

var bucketIntents = []byte("intents")

// openOutbox opens the file or makes it. maxSize bounds it in bytes; 0 means
// that only the disk does.
func openOutbox(path string, maxSize int) (*outbox, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: time.Second,
		// The list of free pages is found by reading the file, mostly empty, at start.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		MaxSize:        maxSize,
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open outbox %s: another process has it open; two api-proxies need a host.state_dir each", path)
	case err != nil:
		return nil, fmt.Errorf("open outbox %s: %w; if the file is damaged, move it away and have all zones synced again with: pdns-distribute resync --all", path, err)
	}
	db.MaxBatchDelay = commitDelay
	o := &outbox{db: db}
	if err := o.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare outbox %s: %w", path, err), db.Close())
	}
	return o, nil
}

// prepare counts the intents. Only a new file is written to, so that a full
// disk does not stop the proxy from starting.
func (o *outbox) prepare() error {
	isNew := false
	err := o.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(bucketIntents); b != nil {
			o.count.Store(int64(b.Stats().KeyN))
		} else {
			isNew = true
		}
		return nil
	})
	if err != nil || !isNew {
		return err
	}
	return o.db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucketIntents)
		return err
	})
}

// close closes the file. What stands in it stays.
func (o *outbox) close() error { return o.db.Close() }

// put writes an intent, new or changed. When it returns nil the intent is on disk.
func (o *outbox) put(i intent) error {
	data, err := json.Marshal(i)
	if err != nil {
		return err
	}
	// One that comes alone has nobody to share its fsync with, and does not wait.
	write := o.db.Batch
	if o.putting.Add(1) == 1 {
		write = o.db.Update
	}
	defer o.putting.Add(-1)
	isNew := false
	err = write(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketIntents)
		isNew = b.Get([]byte(i.ChangeID)) == nil
		return b.Put([]byte(i.ChangeID), data)
	})
	if err != nil {
		return fmt.Errorf("write to outbox %s: %w", o.db.Path(), err)
	}
	if isNew {
		o.count.Add(1)
	}
	return nil
}

// remove removes intents. After an error they may still stand there, which
// means one event too many later.
func (o *outbox) remove(ids ...string) error {
	removed := 0
	err := o.db.Batch(func(tx *bbolt.Tx) error {
		removed = 0
		b := tx.Bucket(bucketIntents)
		for _, id := range ids {
			if b.Get([]byte(id)) == nil {
				continue
			}
			removed++
			if err := b.Delete([]byte(id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove from outbox %s: %w", o.db.Path(), err)
	}
	o.count.Add(int64(-removed))
	return nil
}

// pages yields what stands in the outbox, oldest first, some at a time, so
// that a long outage's worth is never in memory at once.
func (o *outbox) pages(size int) iter.Seq2[[]intent, error] {
	return func(yield func([]intent, error) bool) {
		for after := []byte(nil); ; {
			page, last, err := o.page(after, size)
			if err != nil {
				yield(nil, fmt.Errorf("read outbox %s: %w", o.db.Path(), err))
				return
			}
			if last == nil || !yield(page, nil) {
				return
			}
			after = last
		}
	}
}

// page reads up to size intents behind the key after, and returns the last key.
// An entry that cannot be read has no zone.
func (o *outbox) page(after []byte, size int) (page []intent, last []byte, err error) {
	err = o.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketIntents).Cursor()
		k, v := c.Seek(after)
		if k != nil && string(k) == string(after) {
			k, v = c.Next()
		}
		for ; k != nil && len(page) < size; k, v = c.Next() {
			var i intent
			if err := json.Unmarshal(v, &i); err != nil {
				i = intent{ChangeID: string(k)}
			}
			page = append(page, i)
			last = append(last[:0], k...)
		}
		return nil
	})
	return page, last, err
}

// pending is how many intents stand in the outbox.
func (o *outbox) pending() int64 { return o.count.Load() }
