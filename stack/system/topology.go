package system

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Topology says which processes a system has. The usual one is a single primary with its zones in SQLite.
type Topology struct {
	// Primaries is the number of primaries, 1 or 2. Two share a database of PostgreSQL.
	Primaries int `json:"primaries,omitempty"`
	// Standby has the second primary read from a streaming hot standby of the first one's database, which may lag
	// (pg_wal_replay_pause) and takes no changes.
	Standby bool `json:"standby,omitempty"`
	// Apart has each part of a single primary run in a process of its own: the api-proxy in that called primary, the others
	// in primary-trigger and primary-worker.
	Apart bool `json:"apart,omitempty"`
}

// fullTopology has every process of the topologies that `stack up` offers.
var fullTopology = Topology{Primaries: 2, Standby: true}

// Names returns the names of all processes that such a system may have, in the order in which they start.
func Names() []string { return fullTopology.Names() }

// Names returns the names of the topology's processes, in the order in which they start.
func (t Topology) Names() []string {
	var names []string
	for _, c := range t.components() {
		names = append(names, c.name)
	}
	return names
}

// replicated says that there are several primaries.
func (t Topology) replicated() bool { return t.Primaries > 1 }

func (t Topology) check() error {
	switch {
	case t.Primaries < 0 || t.Primaries > 2:
		return fmt.Errorf("%d primaries are not possible: 1 or 2", t.Primaries)
	case t.Standby && !t.replicated():
		return errors.New("a standby database is the second primary's: it needs 2 primaries")
	case t.Apart && t.replicated():
		return errors.New("only a single primary runs its parts apart")
	}
	return nil
}

func (t Topology) String() string {
	switch {
	case t.Standby:
		return "two primaries, the second on a standby database"
	case t.replicated():
		return "two primaries on one database"
	case t.Apart:
		return "one primary with its parts apart"
	}
	return "one primary"
}

// components are listed in their order of start within the phases.
func (t Topology) components() []component {
	var list []component
	if t.replicated() {
		list = append(list, postgres(databaseName, phaseDatabase))
	}
	if t.Standby {
		list = append(list, postgres(standbyName, phaseStandby))
	}
	list = append(list, natsServer, consulServer, temporalServer, nameserver("pdns-primary"))
	if t.replicated() {
		list = append(list, nameserver("pdns-primary-2"))
	}
	list = append(list, nameserver("pdns-secondary-1"), nameserver("pdns-secondary-2"))
	if t.Apart {
		list = append(list, primaryPart(RolePrimary, "proxy"), primaryPart("primary-trigger", "trigger"), primaryPart("primary-worker", "worker"))
	} else {
		list = append(list, product(RolePrimary, phasePrimary))
	}
	if t.replicated() {
		list = append(list, product(RolePrimary2, phasePrimary))
	}
	return append(list, product(RoleSecondary1, phaseSecondaries), product(RoleSecondary2, phaseSecondaries))
}

func (t Topology) find(name string) (component, error) {
	for _, c := range t.components() {
		if c.name == name {
			return c, nil
		}
	}
	return component{}, fmt.Errorf("no process is called %q; there are: %s", name, strings.Join(t.Names(), " "))
}

// choose returns the named components in their order; all when none is named.
func (t Topology) choose(only []string) ([]component, error) {
	for _, name := range only {
		if _, err := t.find(name); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(t.components(), func(c component) bool {
		return len(only) > 0 && !slices.Contains(only, c.name)
	}), nil
}
