package activities

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

// Asker asks a name server for a zone's SOA. An answer, whatever its
// code, is no error; silence is.
type Asker interface {
	SOA(ctx context.Context, server, zone string) (query.Answer, error)
}

// Verifier asks secondaries from outside, as the public does.
type Verifier struct {
	DNS Asker
	// Versions is what should be served.
	Versions interface {
		Newest(ctx context.Context, zone string) (pdns.Version, uint64, error)
	}
	// Presence says who is back of those that were absent.
	Presence Presence
	Metrics  *VerifyMetrics
}

// verifyAtOnce bounds the questions in flight of one check.
const verifyAtOnce = 32

// verifyWithin bounds one question to one secondary.
const verifyWithin = 2 * time.Second

// VerifyZoneInput asks whether every target serves version Version.
type VerifyZoneInput struct {
	Version pdns.Version `json:"version"`
	Targets []Target     `json:"targets"`
}

// Served is what one secondary serves of a zone.
type Served struct {
	Secondary string           `json:"secondary"`
	State     pdns.ServedState `json:"state"`
	Serial    uint32           `json:"serial,omitempty"`
	Error     string           `json:"error,omitempty"`
}

// VerifyZoneResult has one entry a target, in the targets' order.
type VerifyZoneResult struct {
	Served []Served `json:"served"`
}

// VerifyZone asks every target by DNS, at the address the public uses, whether
// it serves the version. It only reads.
func (v *Verifier) VerifyZone(ctx context.Context, in VerifyZoneInput) (VerifyZoneResult, error) {
	defer beat(ctx, func() any { return in.Version.Zone })()
	result := VerifyZoneResult{Served: make([]Served, len(in.Targets))}
	var group errgroup.Group
	group.SetLimit(verifyAtOnce)
	for i, target := range in.Targets {
		group.Go(func() error {
			served := v.ask(ctx, in.Version, target)
			if served.State != pdns.ServedCurrent && served.State != pdns.ServedSilent {
				// A newer one may be served before its change gets here.
				if newest, _, err := v.Versions.Newest(ctx, in.Version.Zone); err == nil && newest.Version > in.Version.Version {
					served = v.ask(ctx, newest, target)
				}
			}
			result.Served[i] = served
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return VerifyZoneResult{}, fmt.Errorf("verify zone %s: %w", in.Version.Zone, err)
	}
	for _, served := range result.Served {
		v.Metrics.verified(string(served.State))
	}
	return result, nil
}

func (v *Verifier) ask(ctx context.Context, want pdns.Version, target Target) Served {
	ctx, cancel := context.WithTimeout(ctx, verifyWithin)
	defer cancel()
	served := Served{Secondary: target.ID}
	answer, err := v.DNS.SOA(ctx, target.DNSAddress, want.Zone)
	if err != nil {
		served.State, served.Error = pdns.ServedSilent, err.Error()
		return served
	}
	served.Serial = answer.Serial
	served.State = answer.Compare(want)
	return served
}

// silentTargets are those that did not answer in one check of many zones: they are
// not waited for again.
type silentTargets struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (s *silentTargets) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id]
}

func (s *silentTargets) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = make(map[string]bool)
	}
	s.ids[id] = true
}
