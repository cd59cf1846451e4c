package discovery

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
)

const (
	// watchWait is how long Consul holds a question back until something
	// changes. Short, since a lost agent is noticed only after it.
	watchWait = 10 * time.Second
	// watchRetry is the pause after a failed question.
	watchRetry = time.Second
	// settle is how long after an outage of Consul nobody is reported down: its
	// checks start as critical until each host has pushed again.
	settle = ttl + pushEvery
)

// Watch calls report for each instance of a service that turns reachable or
// ceases to be, until ctx ends; those reachable at first are reported too. An
// outage of Consul changes nothing: what was known stays until Consul has
// settled again.
func (c *Client) Watch(ctx context.Context, service string, report func(id string, up bool)) {
	state := outage.Log{Logger: c.log, What: "Consul watch of " + service}
	var seen sightings
	var index uint64
	for ctx.Err() == nil {
		found, next, err := c.wait(ctx, service, index)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			state.Failed(err, "service", service)
			index = 0
			seen.unsettle(time.Now())
			pause(ctx, watchRetry)
			continue
		}
		state.OK("service", service)
		seen.note(found, time.Now(), report)
		index = next
		if !seen.settled(time.Now()) {
			index = 0 // ask again without waiting for a change: who stays down must be reported
			pause(ctx, watchRetry)
		}
	}
}

// wait asks for the instances once they differ from what index stands for; 0
// asks at once.
func (c *Client) wait(ctx context.Context, service string, index uint64) (map[string]Instance, uint64, error) {
	// Consul adds up to a sixteenth to the wait.
	ctx, cancel := context.WithTimeout(ctx, watchWait+watchWait/16+requestTimeout)
	defer cancel()
	found, meta, err := c.instances(ctx, service, api.QueryOptions{WaitIndex: index, WaitTime: watchWait})
	if err != nil {
		return nil, 0, err
	}
	next := max(meta.LastIndex, 1) // 0 would not wait
	if next < index {
		next = 0 // Consul's data was lost or restored: begin anew
	}
	return found, next, nil
}

// sightings is who was reachable when last asked.
type sightings struct {
	up      map[string]bool
	shakyTo time.Time
}

// unsettle begins a time in which nobody is taken for down.
func (s *sightings) unsettle(now time.Time) { s.shakyTo = now.Add(settle) }

func (s *sightings) settled(now time.Time) bool { return !now.Before(s.shakyTo) }

// note reports what changed and keeps it.
func (s *sightings) note(found map[string]Instance, now time.Time, report func(id string, up bool)) {
	if s.up == nil {
		s.up = make(map[string]bool)
	}
	for id, instance := range found {
		if instance.Passing && !s.up[id] {
			s.up[id] = true
			report(id, true)
		}
	}
	if !s.settled(now) {
		return
	}
	for id := range s.up {
		if !found[id].Passing {
			delete(s.up, id)
			report(id, false)
		}
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
