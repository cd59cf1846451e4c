package main

import (
	"context"

	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
)

// presence shows activities what Consul knows.
type presence struct {
	consul *discovery.Client
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

// OtherPrimaries implements [activities.Peers].
func (p presence) OtherPrimaries(ctx context.Context) ([]string, error) {
	instances, err := p.consul.Reachable(ctx, discovery.ServicePrimary)
	if err != nil {
		return nil, err
	}
	var others []string
	for id := range instances {
		if id != p.self {
			others = append(others, id)
		}
	}
	return others, nil
}
