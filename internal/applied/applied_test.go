package applied_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/applied"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func open(t *testing.T, dir string) (*applied.State, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s, err := applied.Open(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s, &log
}

func of(zone string, version int64) pdns.Applied {
	return pdns.Applied{Zone: zone, Version: version, Serial: 7, AppliedAt: time.Unix(version, 0).UTC()}
}

func filled(t *testing.T, dir string, n int) {
	t.Helper()
	s, _ := open(t, dir)
	for i := range n {
		if err := s.Set(of(fmt.Sprintf("zone-%d.org.", i), int64(i)+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStateIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	s, _ := open(t, dir)
	if _, known, err := s.Get("example.org."); err != nil || known {
		t.Errorf("a new state knows a zone: %v", err)
	}
	for _, a := range []pdns.Applied{of("example.org.", 1), of("example.org.", 2), of("gone.org.", 1), of(".", 5)} {
		if err := s.Set(a); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Delete("gone.org."); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, log := open(t, dir)
	defer func() { _ = s.Close() }()
	if a, known, err := s.Get("example.org."); err != nil || !known || a != of("example.org.", 2) {
		t.Errorf("got %+v, %v, %v", a, known, err)
	}
	if all, err := s.All(); err != nil || len(all) != 2 || all[0] != of(".", 5).Brief() {
		t.Errorf("all are %v, %v", all, err)
	}
	if log.Len() > 0 {
		t.Errorf("logged %s", log)
	}
}

func TestStateForManyAtOnce(t *testing.T) {
	s, _ := open(t, t.TempDir())
	defer func() { _ = s.Close() }()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 50 {
				if err := s.Set(of(fmt.Sprintf("zone-%d-%d.org.", i, n), 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if all, err := s.All(); err != nil || len(all) != 400 {
		t.Errorf("%d zones, %v; want 400", len(all), err)
	}
}

func TestDamagedFileIsMovedAside(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty of sense": func([]byte) []byte { return []byte("this is no database") },
		"all zeros":      func(data []byte) []byte { return make([]byte, len(data)) },
		"cut in half":    func(data []byte) []byte { return data[:len(data)/2] },
		"cut to meta pages": func(data []byte) []byte {
			return data[:2*os.Getpagesize()]
		},
		"noise in the pages": func(data []byte) []byte {
			for i := 2 * os.Getpagesize(); i < len(data); i += 7 {
				data[i] ^= 0xa5
			}
			return data
		},
		"noise in the entries": func(data []byte) []byte { return bytes.ReplaceAll(data, []byte(`{"zone"`), []byte(`!"zone"`)) },
		"pages swapped for zeros": func(data []byte) []byte {
			clear(data[2*os.Getpagesize():])
			return data
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			filled(t, dir, 500)
			path := filepath.Join(dir, applied.FileName)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			s, log := open(t, dir)
			defer func() { _ = s.Close() }()
			if all, err := s.All(); err != nil || len(all) != 0 {
				t.Errorf("%d zones, %v; want none", len(all), err)
			}
			if err := s.Set(of("example.org.", 1)); err != nil {
				t.Error(err)
			}
			if !strings.Contains(log.String(), "damaged") {
				t.Errorf("no warning: %s", log)
			}
			if aside, _ := filepath.Glob(path + ".damaged-*"); len(aside) != 1 {
				t.Errorf("moved aside: %v", aside)
			}
		})
	}
}

func TestRandomDamageNeverCrashes(t *testing.T) {
	source := t.TempDir()
	filled(t, source, 300)
	good, err := os.ReadFile(filepath.Join(source, applied.FileName))
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(1, seed))
		data := bytes.Clone(good)
		switch seed % 3 {
		case 0:
			for range 1 + r.IntN(20) {
				data[r.IntN(len(data))] = byte(r.Uint32())
			}
		case 1:
			data = data[:r.IntN(len(data))]
		case 2: // one page stands in another's place
			from, to := r.IntN(len(data)/page)*page, r.IntN(len(data)/page)*page
			copy(data[to:to+page], data[from:from+page])
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, applied.FileName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := open(t, dir)
		for i := range 50 {
			if err := s.Set(of(fmt.Sprintf("new-%d.org.", i), 1)); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		}
		if all, err := s.All(); err != nil || len(all) < 50 {
			t.Errorf("seed %d: %d zones, %v", seed, len(all), err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

func TestDamageWhileOpenBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 2000)
	s, log := open(t, dir)
	defer func() { _ = s.Close() }()
	if err := os.Truncate(filepath.Join(dir, applied.FileName), int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if _, known, err := s.Get(fmt.Sprintf("zone-%d.org.", i)); err != nil || known {
				t.Errorf("%v, %v", known, err)
			}
			if err := s.Set(of(fmt.Sprintf("new-%d.org.", i), 1)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if all, err := s.All(); err != nil || len(all) != 4 {
		t.Errorf("%v, %v", all, err)
	}
	if n := strings.Count(log.String(), "begun anew"); n != 1 {
		t.Errorf("begun anew %d times: %s", n, log)
	}
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	defer func() { _ = s.Close() }()
	quiet := slog.New(slog.DiscardHandler)
	if _, err := applied.Open(dir, quiet); err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("opened twice: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := applied.Open(file, quiet); err == nil || !strings.Contains(err.Error(), "host.state_dir") {
		t.Errorf("a file for a folder: %v", err)
	}
}

func BenchmarkSet(b *testing.B) {
	s, err := applied.Open(b.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for i := range b.N {
		if err := s.Set(of(fmt.Sprintf("zone-%d.org.", i%10000), int64(i))); err != nil {
			b.Fatal(err)
		}
	}
}
