package system

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// readyTimeout bounds one process's start; Consul's leader election and Temporal's first schema take seconds.
	readyTimeout = 60 * time.Second
	// stopGrace is what a process gets to end by itself after SIGTERM before it is killed.
	stopGrace = 15 * time.Second
	// killGrace bounds the wait for a killed process; only a process stuck in the kernel takes longer.
	killGrace = 5 * time.Second
	// portGrace is how long a start waits for a busy port.
	portGrace = 2 * time.Second
	// logLines of a process that ended by itself are put into the error.
	logLines = 25
)

// Process describes one process of the system.
type Process struct {
	Name    string
	State   string // running, paused, stopped (as asked) or ended (by itself)
	PID     int    // 0 when it does not run
	Address string
	Log     string
}

// Processes describes every process, started or not, in the order of Names.
func (s *System) Processes() ([]Process, error) {
	st, err := s.readState()
	if err != nil {
		return nil, err
	}
	components := s.topology.components()
	list := make([]Process, 0, len(components))
	for _, c := range components {
		p := Process{Name: c.name, State: "stopped", Address: "-", Log: s.LogPath(c.name)}
		if number, ok := st.Ports[c.port]; ok { // Down gives claimed ports back
			p.Address = loopback(number)
		}
		switch rec, known := st.Processes[c.name]; {
		case rec.alive():
			p.PID, p.State = rec.PID, "running"
			if rec.Paused {
				p.State = "paused"
			}
		case known:
			p.State = "ended"
		}
		list = append(list, p)
	}
	return list, nil
}

// LogTail returns the last lines of a process's log.
func (s *System) LogTail(name string) string { return tail(s.LogPath(name), logLines) }

// ProductLogs are the ends of the logs of the first primary's and the secondaries' processes, for the error of what went
// wrong with them.
func (s *System) ProductLogs() error {
	var ends error
	for _, name := range []string{"primary", "secondary-1", "secondary-2"} {
		ends = errors.Join(ends, fmt.Errorf("the end of %s:\n%s", s.LogPath(name), s.LogTail(name)))
	}
	return ends
}

// Start starts one process that does not run, at its old address with its old data, and waits until it is ready.
func (s *System) Start(ctx context.Context, name string) error {
	c, err := s.topology.find(name)
	if err != nil {
		return err
	}
	_, err = s.startAll(ctx, []component{c})
	return err
}

// startAll starts what of chosen does not run, phase by phase, and returns the names of those it started.
func (s *System) startAll(ctx context.Context, chosen []component) ([]string, error) {
	missing, err := s.notRunning(ctx, chosen)
	if err != nil {
		return nil, err
	}
	var started []string
	for phase := phaseDatabase; phase <= phaseSecondaries; phase++ {
		var group []component
		for _, c := range missing {
			if c.phase != phase {
				continue
			}
			if err := s.launch(ctx, c); err != nil {
				return started, err
			}
			started = append(started, c.name)
			group = append(group, c)
		}
		if err := s.waitReady(ctx, group); err != nil {
			return started, err
		}
	}
	return started, nil
}

// notRunning drops what runs already and fails when a port that the rest needs is busy and stays so, naming all such
// ports: one that belonged to a process that has just crashed is free a moment later.
func (s *System) notRunning(ctx context.Context, chosen []component) ([]component, error) {
	st, err := s.readState()
	if err != nil {
		return nil, err
	}
	var missing []component
	var needed []port
	for _, c := range chosen {
		if st.Processes[c.name].alive() {
			continue
		}
		if _, err := c.command(s); err != nil { // tells now, not after the others have started, that a program is missing
			return nil, fmt.Errorf("start %s: %w", c.name, err)
		}
		missing = append(missing, c)
		needed = append(needed, portsOf(c.name)...)
	}
	var found error
	grace, cancel := context.WithTimeout(ctx, portGrace)
	defer cancel()
	if poll(grace, func() error { found = busy(ctx, needed, st.Ports); return found }) != nil {
		return nil, found // without poll's own words
	}
	return missing, nil
}

// launch prepares and starts c unless it runs, and records it.
func (s *System) launch(ctx context.Context, c component) error {
	if c.prepare != nil {
		if err := c.prepare(ctx, s); err != nil {
			return fmt.Errorf("prepare %s: %w", c.name, err)
		}
	}
	argv, err := c.command(s)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	return s.update(func(st *state) error {
		if st.Processes[c.name].alive() {
			return nil
		}
		rec, err := spawn(argv, s.dir, s.LogPath(c.name), c.slack)
		if err != nil {
			return fmt.Errorf("start %s: %w\n%s", c.name, err, s.LogTail(c.name))
		}
		st.Processes[c.name] = rec
		return nil
	})
}

// WaitReady waits until each named process does its work. A process that ends meanwhile is an error with its last
// log lines.
func (s *System) WaitReady(ctx context.Context, names ...string) error {
	var group []component
	for _, name := range names {
		c, err := s.topology.find(name)
		if err != nil {
			return err
		}
		group = append(group, c)
	}
	return s.waitReady(ctx, group)
}

func (s *System) waitReady(ctx context.Context, group []component) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %s", readyTimeout))
	defer cancel()
	faults := make(chan error, len(group))
	for _, c := range group {
		began := time.Now()
		go func() {
			err := s.waitOne(ctx, c)
			if err == nil && s.progress != nil {
				s.progress(c.name, time.Since(began))
			}
			faults <- err
		}()
	}
	var all []error
	for range group {
		err := <-faults
		if err != nil {
			cancel() // the others need not be waited for
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

func (s *System) waitOne(ctx context.Context, c component) error {
	st, err := s.readState()
	if err != nil {
		return err
	}
	rec := st.Processes[c.name]
	err = poll(ctx, func() error {
		if !rec.alive() {
			return finalError{errors.New("it ended")}
		}
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return c.ready(attempt, s)
	})
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s did not become ready: %w\nthe end of %s:\n%s", c.name, err, s.LogPath(c.name), s.LogTail(c.name))
}

// Stop asks one process to end, after stopGrace ends it with SIGKILL, and returns when it has ended.
func (s *System) Stop(ctx context.Context, name string) error {
	return s.end(name, func(f family) error {
		c, err := s.topology.find(name)
		if err != nil {
			return err
		}
		grace, cancel := context.WithTimeout(ctx, stopGrace)
		defer cancel()
		if err := f.end(grace, cmp.Or(c.orderly, unix.SIGTERM)); err == nil {
			return nil
		}
		return f.kill(ctx)
	})
}

// Kill ends one process with SIGKILL, as a crash would.
func (s *System) Kill(ctx context.Context, name string) error {
	return s.end(name, func(f family) error { return f.kill(ctx) })
}

func (s *System) end(name string, end func(family) error) error {
	rec, err := s.lookUp(name)
	if err != nil {
		return err
	}
	if rec.alive() {
		f, err := rec.family()
		if err == nil {
			err = end(f)
		}
		if err != nil {
			return fmt.Errorf("stop %s: %w", name, err)
		}
	}
	return s.update(func(st *state) error {
		delete(st.Processes, name)
		return nil
	})
}

// Pause freezes one process (SIGSTOP): it keeps its connections and answers nothing. Resume lets it go on.
func (s *System) Pause(ctx context.Context, name string) error {
	return s.pause(name, func(f family) error { return f.freeze(ctx) }, true)
}

// Resume lets a paused process go on.
func (s *System) Resume(name string) error {
	return s.pause(name, func(f family) error { return f.signal(unix.SIGCONT) }, false)
}

func (s *System) pause(name string, do func(family) error, paused bool) error {
	if _, err := s.lookUp(name); err != nil {
		return err
	}
	return s.update(func(st *state) error {
		rec := st.Processes[name]
		if !rec.alive() {
			return fmt.Errorf("%s does not run; start it with `stack start %s`", name, name)
		}
		rec.Paused = paused
		st.Processes[name] = rec
		f, err := rec.family()
		if err != nil {
			return err
		}
		return do(f)
	})
}

func (s *System) lookUp(name string) (record, error) {
	if _, err := s.topology.find(name); err != nil {
		return record{}, err
	}
	st, err := s.readState()
	if err != nil {
		return record{}, err
	}
	return st.Processes[name], nil
}

// Down stops every process, the product's first and the servers last, and gives the claimed ports back. Data, logs and
// configuration stay.
func (s *System) Down(ctx context.Context) error {
	if err := s.stopAll(ctx, s.Names()); err != nil {
		return err
	}
	return s.update(func(st *state) error {
		if st.PortBlock == "" {
			return nil
		}
		if err := os.Remove(st.PortBlock); err != nil && !os.IsNotExist(err) {
			return err
		}
		st.PortBlock, st.Ports = "", nil // the next start claims others
		return nil
	})
}

// stopAll stops the named processes, the last phase first, those of one phase at once.
func (s *System) stopAll(ctx context.Context, names []string) error {
	var all []error
	for phase := phaseSecondaries; phase >= phaseDatabase; phase-- {
		var group []string
		for _, c := range s.topology.components() {
			if c.phase == phase && slices.Contains(names, c.name) {
				group = append(group, c.name)
			}
		}
		faults := make(chan error, len(group))
		for _, name := range group {
			go func() { faults <- s.Stop(ctx, name) }()
		}
		for range group {
			all = append(all, <-faults)
		}
	}
	return errors.Join(all...)
}
