// Package system starts and stops a whole pdns-distribute system on loopback: NATS, Consul, Temporal, three PowerDNS
// servers and the product's own processes, each an operating system process of its own with its data under one folder.
// A [Topology] may add a second primary, with the zones of both in PostgreSQL.
//
// The demo, the tests and the benchmarks use it. Everything that must outlive one call (ports, process IDs) lies in
// DIR/state.json, so that any later process can stop, kill, pause or start one of them again at the same address.
// TLS and authentication are on for NATS, Consul and Temporal, from a CA made when the folder is first used.
package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Options say where a system lives and what of it to start.
type Options struct {
	// Dir holds everything: configuration, data, logs, certificates, state. Made when absent.
	Dir string
	// Topology is chosen when Dir is first used; left empty it is what Dir has.
	Topology
	// Only names the processes to start; empty means all.
	Only []string
	// FreePorts picks unused ports when Dir is first used, instead of the fixed ones of the demo.
	FreePorts bool
	// Settings are more lines of the product's configuration (TOML), of all its processes. They hold for this start.
	Settings string
	// Owner is the PID of a process with whose end the system is taken down, its folder too: a test run that is killed
	// cannot clean up after itself. 0 leaves the system running until Down.
	Owner int
	// Progress, when set, is told about each process that became ready and how long that took.
	Progress func(name string, took time.Duration)
}

// System is one system in one folder. Its methods may be called from several goroutines and processes at once.
type System struct {
	dir      string
	topology Topology
	programs programs
	progress func(string, time.Duration)
}

// Names returns the names of the system's processes, in the order in which they start.
func (s *System) Names() []string { return s.topology.Names() }

// Up starts the named processes in opts.Dir (those that run already are left alone), waits until each answers, and
// writes DIR/env and DIR/config. When a start fails, what this call started is stopped again.
func Up(ctx context.Context, opts Options) (*System, error) {
	s, err := create(opts)
	if err != nil {
		return nil, err
	}
	chosen, err := s.topology.choose(opts.Only)
	if err != nil {
		return nil, err
	}
	if err := s.configure(opts.Settings); err != nil {
		return nil, err
	}
	if err := s.watchOwner(opts.Owner); err != nil {
		return nil, err
	}
	started, err := s.startAll(ctx, chosen)
	if err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace+killGrace)
		defer cancel()
		return nil, errors.Join(err, s.stopAll(stopCtx, started))
	}
	return s, nil
}

// Open returns the system that an earlier Up made in dir.
func Open(dir string) (*System, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &System{dir: abs}
	if _, err := os.Stat(s.statePath()); err != nil {
		return nil, fmt.Errorf("no system in %s (%w): start one with `stack up --dir %s` or `make demo`", abs, err, dir)
	}
	st, err := s.readState()
	if err != nil {
		return nil, err
	}
	s.topology = st.Topology
	s.programs, err = findPrograms()
	return s, err
}

func create(opts Options) (*System, error) {
	if opts.Dir == "" {
		return nil, errors.New("no folder given for the system (--dir)")
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"", "config", "data", "log", "pki", "run", "secrets"} {
		// 0700: secrets and zone content lie below.
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("make the system's folder: %w", err)
		}
	}
	s := &System{dir: dir, progress: opts.Progress}
	if s.programs, err = findPrograms(); err != nil {
		return nil, err
	}
	return s, s.initState(opts.Topology, opts.FreePorts)
}

// Dir is the folder that holds the system.
func (s *System) Dir() string { return s.dir }

// ConfigPath is the product's configuration file for the process name: primary, secondary-1 or secondary-2.
func (s *System) ConfigPath(name string) string { return s.path("config", name+".toml") }

// LogPath is the file that the process name writes its output to.
func (s *System) LogPath(name string) string { return s.path("log", name+".log") }

func (s *System) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}
