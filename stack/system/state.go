package system

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// state is what DIR/state.json holds: what later calls, from any process, must know of earlier ones.
type state struct {
	Topology
	Ports     map[string]int    `json:"ports"`
	PortBlock string            `json:"port_block,omitempty"` // claim file of the free ports, see claimPorts
	Processes map[string]record `json:"processes"`
}

// record describes one started process. StartTicks (field 22 of /proc/PID/stat) and BootID tell it from a later
// process that was given the same PID.
type record struct {
	PID        int       `json:"pid"`
	StartTicks uint64    `json:"start_ticks"`
	BootID     string    `json:"boot_id"`
	StartedAt  time.Time `json:"started_at"`
	Paused     bool      `json:"paused,omitempty"`
}

func (s *System) statePath() string { return s.path("state.json") }

func (s *System) initState(topology Topology, freePorts bool) error {
	if err := topology.check(); err != nil {
		return err
	}
	return s.update(func(st *state) error {
		if st.Topology == (Topology{}) {
			st.Topology = topology
			st.Primaries = max(1, topology.Primaries)
		} else if topology != (Topology{}) && topology != st.Topology {
			return fmt.Errorf("the system in %s has %s: for %s use another folder (--dir)", s.dir, st.Topology, topology)
		}
		s.topology = st.Topology
		if st.Ports != nil {
			return nil // an earlier start chose them, and clients know them
		}
		if !freePorts {
			st.Ports = defaultPorts()
			return nil
		}
		var err error
		st.Ports, st.PortBlock, err = claimPorts(s.dir)
		return err
	})
}

// update reads the state under a lock shared with other processes, lets change edit it and writes it back, atomically.
func (s *System) update(change func(*state) error) error {
	lock, err := os.OpenFile(s.path("state.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the state's lock: %w", err)
	}
	defer lock.Close() // releases the lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	st, err := s.readState()
	if err != nil {
		return err
	}
	if err := change(st); err != nil {
		return err
	}
	return s.writeState(st)
}

// readState needs no lock: the file is only ever replaced whole.
func (s *System) readState() (*state, error) {
	st := &state{Processes: map[string]record{}}
	data, err := os.ReadFile(s.statePath())
	if os.IsNotExist(err) {
		return st, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the system's state: %w", err)
	}
	if err := json.Unmarshal(data, st); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.statePath(), err)
	}
	return st, nil
}

func (s *System) writeState(st *state) error {
	data, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	return writeSecretFile(s.statePath(), data)
}
