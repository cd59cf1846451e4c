// Package applied keeps, in one small file on a secondary's host, which version
// of each zone its PowerDNS was last seen to serve. Losing it costs a full
// compare, nothing else, so it is written without waiting for the disk and
// begun anew when it is damaged.
package applied

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// FileName is the file in the state directory.
const FileName = "applied.db"

// syncEvery is how often the file is brought to the disk. A kill of the
// process loses nothing; a crash of the machine loses what is younger.
const syncEvery = time.Second

var zones = []byte("zones")

// State is the local state; safe for concurrent use. Close it.
type State struct {
	path string
	log  *slog.Logger
	stop chan struct{}
	done sync.WaitGroup

	// mu is held by who uses db: a fault inside of bbolt leaves its own locks held,
	// and nobody must wait for them. db is nil where a damaged one could not be begun
	// anew, which is tried again at each use.
	mu    sync.Mutex
	db    *bolt.DB
	dirty atomic.Bool
}

// Open opens the state in dir, which is made when missing. A damaged file is
// moved aside and begun anew, with a warning, now or when damage shows later.
// Only one process may have it open.
func Open(dir string, log *slog.Logger) (*State, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("host.state_dir: %w", err)
	}
	s := &State{path: filepath.Join(dir, FileName), log: log, stop: make(chan struct{})}
	var err error
	s.db, err = openChecked(s.path)
	if errors.Is(err, errDamaged) {
		s.db, err = s.anew(err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s (host.state_dir): %w", s.path, err)
	}
	s.done.Go(s.syncLoop)
	return s, nil
}

// anew moves the damaged file aside and returns a new one.
func (s *State) anew(damage error) (*bolt.DB, error) {
	aside := fmt.Sprintf("%s.damaged-%s", s.path, time.Now().UTC().Format("20060102T150405.000000000"))
	if err := os.Rename(s.path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("move the damaged file aside: %w", err)
	}
	s.log.Warn("the record of applied versions was damaged and is begun anew; all zones are compared in full",
		"file", s.path, "moved_to", aside, "error", damage)
	return openChecked(s.path)
}

// use runs touch on the file, and once more on a new one when it proves to be
// damaged.
func (s *State) use(touch func(*bolt.DB) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := guarded(func() error { return touch(s.db) })
	if !errors.Is(err, errDamaged) {
		return err
	}
	fresh, err := s.anew(err)
	if err != nil {
		s.db = nil
		return err
	}
	s.db = fresh
	return guarded(func() error { return touch(s.db) })
}

// Get returns what is noted of zone, and false when nothing is.
func (s *State) Get(zone string) (pdns.Applied, bool, error) {
	var a pdns.Applied
	var known bool
	err := s.read(func(tx *bolt.Tx) error {
		value := tx.Bucket(zones).Get([]byte(zone))
		known = value != nil
		if !known {
			return nil
		}
		if err := json.Unmarshal(value, &a); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		return nil
	})
	if err != nil {
		return pdns.Applied{}, false, fmt.Errorf("applied version of %s: %w", zone, err)
	}
	return a, known, nil
}

// Set notes a for its zone.
func (s *State) Set(a pdns.Applied) error {
	value, err := json.Marshal(a)
	if err == nil {
		err = s.write(func(b *bolt.Bucket) error { return b.Put([]byte(a.Zone), value) })
	}
	if err != nil {
		return fmt.Errorf("note the applied version of %s: %w", a.Zone, err)
	}
	return nil
}

// Delete forgets a zone; no error when nothing is noted of it.
func (s *State) Delete(zone string) error {
	if err := s.write(func(b *bolt.Bucket) error { return b.Delete([]byte(zone)) }); err != nil {
		return fmt.Errorf("forget the applied version of %s: %w", zone, err)
	}
	return nil
}

// All returns of each noted zone what comparisons need.
func (s *State) All() ([]pdns.AppliedBrief, error) {
	var all []pdns.AppliedBrief
	err := s.read(func(tx *bolt.Tx) error {
		all = nil
		return each(tx.Bucket(zones), func(a pdns.Applied) { all = append(all, a.Brief()) })
	})
	if err != nil {
		return nil, fmt.Errorf("list the applied versions: %w", err)
	}
	return all, nil
}

// Close brings the state to the disk and closes the file.
func (s *State) Close() error {
	close(s.stop)
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return guarded(func() error { return errors.Join(s.db.Sync(), s.db.Close()) })
}

func (s *State) read(look func(*bolt.Tx) error) error {
	return s.use(func(db *bolt.DB) error { return db.View(look) })
}

func (s *State) write(change func(*bolt.Bucket) error) error {
	err := s.use(func(db *bolt.DB) error {
		return db.Update(func(tx *bolt.Tx) error { return change(tx.Bucket(zones)) })
	})
	if err == nil {
		s.dirty.Store(true)
	}
	return err
}

func (s *State) syncLoop() {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			if s.dirty.Swap(false) {
				s.mu.Lock()
				db := s.db
				s.mu.Unlock()
				// Holds up nobody. Best effort by design; Close reports it.
				_ = guarded(db.Sync)
			}
		}
	}
}
