package main

import (
	"context"
	"fmt"

	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
)

// presence shows activities what Consul knows.
type presence struct {
	consul interface {
		// Reachable returns all registered instances; an error means unknown.
		Reachable(ctx context.Context, service string) (map[string]discovery.Instance, error)
	}
	// self is this host's ID.
	self string
}

// Reachable implements [activities.Presence].
func (p presence) Reachable(ctx context.Context) (map[string]bool, error) {
	instances, err := p.consul.Reachable(ctx, discovery.ServiceSecondary)
	if err != nil {
		return nil, err
	}
	reachable := make(map[string]bool, len(instances))
	for id, instance := range instances {
		reachable[id] = instance.Passing
	}
	return reachable, nil
}

// OtherPrimaries implements [activities.Peers]. A list without this host is no
// answer: Consul has lost its catalogue, and hosts come back to it one by one. A
// primary that is not yet back may hold what seems to be gone.
func (p presence) OtherPrimaries(ctx context.Context) ([]string, error) {
	instances, err := p.consul.Reachable(ctx, discovery.ServicePrimary)
	if err != nil {
		return nil, err
	}
	if _, listed := instances[p.self]; !listed {
		return nil, fmt.Errorf("Consul does not list this primary, %s, as %s, so that its list of the others cannot be complete; "+
			"it registers again by itself within seconds: if it does not, look in its log, and in Consul's for a lost catalogue or ACLs that hide services",
			p.self, discovery.ServicePrimary)
	}
	var others []string
	for id := range instances {
		if id != p.self {
			others = append(others, id)
		}
	}
	return others, nil
}
