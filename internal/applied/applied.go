// Package applied keeps, in one small file on a secondary's host, which version
// of each zone its PowerDNS was last seen to serve. Losing it costs a full
// compare, nothing else, so it is written without waiting for the disk and
// begun anew when it is damaged.
package applied

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
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
	db   *bolt.DB
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	dirty bool
}

// Open opens the state in dir, which is made when missing. A damaged file is
// moved aside and begun anew, with a warning. Only one process may have it open.
func Open(dir string, log *slog.Logger) (*State, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("host.state_dir: %w", err)
	}
	path := filepath.Join(dir, FileName)
	db, err := openChecked(path)
	if errors.Is(err, errDamaged) {
		aside := fmt.Sprintf("%s.damaged-%s", path, time.Now().UTC().Format("20060102T150405.000000000"))
		if moved := os.Rename(path, aside); moved != nil {
			return nil, fmt.Errorf("move the damaged %s aside: %w", path, moved)
		}
		log.Warn("the record of applied versions was damaged and is begun anew; all zones are compared in full",
			"file", path, "moved_to", aside, "error", err)
		db, err = openChecked(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s (host.state_dir): %w", path, err)
	}
	s := &State{db: db, stop: make(chan struct{})}
	s.done.Go(s.syncLoop)
	return s, nil
}

// Get returns what is noted of zone, and false when nothing is.
func (s *State) Get(zone string) (pdns.Applied, bool, error) {
	var a pdns.Applied
	var known bool
	err := s.db.View(func(tx *bolt.Tx) error {
		value := tx.Bucket(zones).Get([]byte(zone))
		known = value != nil
		if !known {
			return nil
		}
		return json.Unmarshal(value, &a)
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

// All returns what is noted, by zone.
func (s *State) All() (map[string]pdns.Applied, error) {
	all := make(map[string]pdns.Applied)
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(zones).ForEach(func(zone, value []byte) error {
			var a pdns.Applied
			if err := json.Unmarshal(value, &a); err != nil {
				return fmt.Errorf("zone %s: %w", zone, err)
			}
			all[string(zone)] = a
			return nil
		})
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
	return errors.Join(s.db.Sync(), s.db.Close())
}

func (s *State) write(change func(*bolt.Bucket) error) error {
	err := s.db.Update(func(tx *bolt.Tx) error { return change(tx.Bucket(zones)) })
	if err == nil {
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
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
		}
		s.mu.Lock()
		dirty := s.dirty
		s.dirty = false
		s.mu.Unlock()
		if dirty {
			_ = s.db.Sync() // best effort by design; Close reports it
		}
	}
}
