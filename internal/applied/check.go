package applied

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

var errDamaged = errors.New("damaged")

// openChecked opens the file and reads through all of it, so that damage
// shows here and not as a crash later: bbolt panics on pages that make no
// sense, and its memory map faults behind the end of a shortened file. The
// error is errDamaged where a new file would help.
func openChecked(path string) (db *bolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if broken := recover(); broken != nil {
			db, err = nil, fmt.Errorf("%w: %v", errDamaged, broken)
		}
	}()
	db, err = bolt.Open(path, 0o640, &bolt.Options{Timeout: 2 * time.Second, NoSync: true, NoFreelistSync: true})
	var access *fs.PathError
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, errors.New("another process has it open")
	case errors.As(err, &access):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if err := check(db); err != nil {
		_ = db.Close() // what matters is why
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return db, nil
}

// check makes the bucket where it is missing and reads every page and entry.
func check(db *bolt.DB) error {
	err := db.View(func(tx *bolt.Tx) error {
		info, err := os.Stat(db.Path())
		if err != nil {
			return err
		}
		if tx.Size() > info.Size() {
			return fmt.Errorf("the file has %d of %d bytes", info.Size(), tx.Size())
		}
		var first error
		for err := range tx.Check() { // to its end: it reads the file until then
			first = cmp.Or(first, err)
		}
		return first
	})
	if err != nil {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists(zones)
		if err != nil {
			return err
		}
		return bucket.ForEach(func(zone, value []byte) error {
			var a pdns.Applied
			if err := json.Unmarshal(value, &a); err != nil || a.Zone != string(zone) {
				return fmt.Errorf("entry %q makes no sense", zone)
			}
			return nil
		})
	})
}
