package applied

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// errDamaged says that a new file would help.
var errDamaged = errors.New("damaged")

// guarded turns the panics and faults with which bbolt answers a damaged file
// into errDamaged: pages that make no sense, a memory map that reaches behind the
// end of the file. All that touches the file goes through here, in this goroutine:
// bbolt's own tx.Check starts one, where a fault ends the process.
func guarded(touch func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("%w: %v", errDamaged, broken)
		}
	}()
	return touch()
}

// openChecked opens the file, makes it where it is missing, and reads all
// entries.
func openChecked(path string) (db *bolt.DB, err error) {
	err = guarded(func() error {
		// The list of free pages is kept in the file (no NoFreelistSync): bbolt
		// would else gather it in a goroutine of its own.
		db, err = bolt.Open(path, 0o640, &bolt.Options{Timeout: 2 * time.Second, NoSync: true})
		if err != nil {
			return opening(err)
		}
		return db.Update(check)
	})
	// A damaged one is left open: closing it may wait for locks that a panic
	// never gave back.
	return db, err
}

func opening(err error) error {
	var access *fs.PathError
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return errors.New("another process has it open")
	case errors.As(err, &access):
		return err
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// check makes the bucket where it is missing and reads every entry.
func check(tx *bolt.Tx) error {
	bucket, err := tx.CreateBucketIfNotExists(zones)
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return each(bucket, func(pdns.Applied) {})
}

// each calls note for every entry. Keys that do not ascend are damage, and end
// what could go round in circles for ever.
func each(bucket *bolt.Bucket, note func(pdns.Applied)) error {
	var last []byte
	return bucket.ForEach(func(zone, value []byte) error {
		var a pdns.Applied
		if err := json.Unmarshal(value, &a); err != nil || a.Zone != string(zone) || bytes.Compare(last, zone) >= 0 {
			return fmt.Errorf("%w: entry %q makes no sense", errDamaged, zone)
		}
		last = append(last[:0], zone...)
		note(a)
		return nil
	})
}
