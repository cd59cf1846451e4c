package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// DenialPowerDNS is the part of the primary's PowerDNS API that decides how a
// signed zone denies names.
type DenialPowerDNS interface {
	// Zone returns api.ErrNotFound when PowerDNS does not hold the zone.
	Zone(ctx context.Context, zone string) (api.Zone, error)
	// Presigned reports whether the signatures come with the content.
	Presigned(ctx context.Context, zone string) (bool, error)
	Keys(ctx context.Context, zone string) ([]api.Key, error)
	SetNSEC3(ctx context.Context, zone, param string) error
}

// Denial carries out the policy of NSEC3 everywhere, on a primary.
type Denial struct {
	// ID is this primary's ID.
	ID string
	// Enforce is the policy; without it nothing is changed.
	Enforce  bool
	PowerDNS DenialPowerDNS
	Newest   NewestVersions
	Metrics  *DenialMetrics
}

// SetNSEC3Input asks for the next part of the zones.
type SetNSEC3Input struct {
	// After is the last zone of the part before, empty for the first part.
	After string `json:"after,omitempty"`
}

// SetNSEC3Result says what was done.
type SetNSEC3Result struct {
	// Off says that the policy is switched off, and nothing was looked at.
	Off bool `json:"off,omitempty"`
	// Primary is the primary that did it; it has to export these zones, since
	// another one's database may lag.
	Primary string `json:"primary,omitempty"`
	// Zones have NSEC3 now and are to be synced.
	Zones []string `json:"zones,omitempty"`
	// Outcomes counts the zones that had NSEC by what became of them.
	Outcomes map[string]int `json:"outcomes,omitempty"`
	// OldKeys and Failed list the first few of these, Reason is what was wrong
	// with one of Failed.
	OldKeys []string `json:"old_keys,omitempty"`
	Failed  []string `json:"failed,omitempty"`
	Reason  string   `json:"reason,omitempty"`
	// After is the last zone of this part where more follow, else empty.
	After string `json:"after,omitempty"`
}

// nsec3Failed counts zones that could not be looked at or changed.
const nsec3Failed = "failed"

// SetNSEC3 sets NSEC3 on a part of the zones that were published with NSEC. One
// at a time: on SQLite, PowerDNS 4.7 answers 500 to concurrent changes.
//
// Doing it twice is harmless: a zone that has NSEC3 since is not changed, and is
// in the result again, since its sync may not have come about.
func (d *Denial) SetNSEC3(ctx context.Context, in SetNSEC3Input) (SetNSEC3Result, error) {
	if !d.Enforce {
		return SetNSEC3Result{Off: true}, nil
	}
	zones, err := d.candidates(ctx, in.After)
	if err != nil {
		return SetNSEC3Result{}, classify(fmt.Errorf("set NSEC3 on primary %s: %w", d.ID, err))
	}
	result := SetNSEC3Result{Primary: d.ID, Outcomes: make(map[string]int)}
	var done atomic.Int64
	defer beat(ctx, func() any { return batchProgress{done.Load(), len(zones)} })()
	for _, zone := range zones {
		if len(result.Zones) == MaxBatch {
			result.After = zones[done.Load()-1]
			break
		}
		state, err := d.set(ctx, zone)
		if ctx.Err() != nil {
			return SetNSEC3Result{}, ctx.Err()
		}
		result.note(zone, state, err)
		done.Add(1)
	}
	d.Metrics.set(result.Outcomes)
	return result, nil
}

// candidates are the zones after the given one whose newest version has NSEC.
func (d *Denial) candidates(ctx context.Context, after string) ([]string, error) {
	newest, err := d.Newest.Newest(ctx)
	if err != nil {
		return nil, err
	}
	var zones []string
	for zone, v := range newest {
		if v.Signed && !v.NSEC3 && !v.Deleted && zone > after {
			zones = append(zones, zone)
		}
	}
	slices.Sort(zones)
	return zones, nil
}

// set asks PowerDNS about a zone and changes it where the policy says so.
func (d *Denial) set(ctx context.Context, zone string) (pdns.NSEC3State, error) {
	held, err := d.PowerDNS.Zone(ctx, zone)
	if errors.Is(err, api.ErrNotFound) {
		return pdns.NSEC3Set, nil // its sync finds out that it is gone
	}
	if err != nil {
		return "", err
	}
	presigned, err := d.PowerDNS.Presigned(ctx, zone)
	if err != nil {
		return "", err
	}
	keys, err := d.PowerDNS.Keys(ctx, zone)
	if err != nil {
		return "", err
	}
	var algorithms []string
	for _, key := range keys {
		if key.Active {
			algorithms = append(algorithms, key.Algorithm)
		}
	}
	state := pdns.JudgeNSEC3(presigned, held.NSEC3Param, algorithms)
	if state == pdns.NSEC3Wanted {
		err = d.PowerDNS.SetNSEC3(ctx, zone, pdns.NSEC3Parameters)
	}
	return state, err
}

func (r *SetNSEC3Result) note(zone string, state pdns.NSEC3State, err error) {
	switch {
	case err != nil:
		r.Outcomes[nsec3Failed]++
		if r.Reason == "" {
			r.Reason = err.Error()
		}
		r.Failed = append(r.Failed, zone)[:min(len(r.Failed)+1, namesShown)]
		return
	case state == pdns.NSEC3Wanted, state == pdns.NSEC3Set:
		r.Zones = append(r.Zones, zone)
	case state == pdns.NSEC3OldKeys:
		r.OldKeys = append(r.OldKeys, zone)[:min(len(r.OldKeys)+1, namesShown)]
	}
	r.Outcomes[string(state)]++
}

// DenialMetrics counts what the NSEC3 policy found.
type DenialMetrics struct{ zones *prometheus.CounterVec }

// NewDenialMetrics registers the metrics of the NSEC3 policy.
func NewDenialMetrics(r prometheus.Registerer) *DenialMetrics {
	m := &DenialMetrics{zones: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pdnsdist_nsec3_zones_total",
		Help: "Zones with NSEC that the NSEC3 policy looked at, by what became of them (wanted: changed now; set, presigned, old keys, failed).",
	}, []string{"outcome"})}
	r.MustRegister(m.zones)
	return m
}

func (m *DenialMetrics) set(outcomes map[string]int) {
	if m == nil {
		return
	}
	for outcome, n := range outcomes {
		m.zones.WithLabelValues(outcome).Add(float64(n))
	}
}
