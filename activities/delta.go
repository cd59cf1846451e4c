package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// RRsetSource is the part of the PowerDNS API that a delta is made from.
type RRsetSource interface {
	// RRsets returns the zone and its RRsets at one name; api.ErrNotFound when
	// PowerDNS does not hold the zone.
	RRsets(ctx context.Context, zone, name string) (api.Zone, []pdns.RRset, error)
	// Rectifies reports whether each change through the API rectifies the zone.
	Rectifies(ctx context.Context, zone string) (bool, error)
}

// AbsenceAsker asks a name server for a name that may not be there.
type AbsenceAsker interface {
	// Absent reports whether nothing is at or below name for sure. An error
	// means that no answer came.
	Absent(ctx context.Context, server, name string) (bool, error)
}

// Why no delta is made of a change; a full export follows.
var (
	errNoDelta = errors.New("no delta")
	// errMovedFurther: PowerDNS has taken more changes than are known of yet.
	errMovedFurther = fmt.Errorf("%w: more changes than these have moved the serial", errNoDelta)
)

func noDelta(why string) error { return fmt.Errorf("%w: %s", errNoDelta, why) }

// deltas make versions of what changed alone, without a look at the whole zone.
// Nothing they are told is trusted beyond that: what they miss, the full export
// finds that soon follows.
type deltas struct{ *Primary }

// export publishes the state after so many API calls, whose hints say where to look,
// as a delta of the last version, which must have a base. Its revision was read before.
func (d deltas) export(ctx context.Context, last pdns.Version, revision uint64, hints []pdns.RRsetName, calls int) (ExportZoneResult, error) {
	serial, sets, err := d.changed(ctx, last, hints, calls)
	if err != nil {
		return ExportZoneResult{}, err
	}
	now := time.Now()
	next, err := last.Follow(pdns.NextVersion(last.Version, now), serial, sets)
	if err != nil {
		return ExportZoneResult{}, noDelta(err.Error())
	}
	next.Time = now.UTC()
	written, err := d.Versions.PublishDelta(ctx, next, revision)
	if err != nil {
		return ExportZoneResult{}, fmt.Errorf("publish version %d: %w", next.Version, err)
	}
	return d.newest(ExportPublished, next, written), d.Guard.settled(ctx, last.Zone)
}

// changed reads the RRsets that the hints name, and the SOA last: where the serial
// is then the one that it was at first, all of it was read at that serial.
func (d deltas) changed(ctx context.Context, last pdns.Version, hints []pdns.RRsetName, calls int) (uint32, []pdns.RRset, error) {
	zone := last.Zone
	for _, hint := range hints {
		if why := pdns.Patchable(zone, hint); why != "" {
			return 0, nil, noDelta(why)
		}
	}
	reading := reading{deltas: d, zone: zone, at: make(map[string][]pdns.RRset)}
	if err := reading.begin(ctx, last, hints[0].Name, calls); err != nil {
		return 0, nil, err
	}
	var sets []pdns.RRset
	for _, hint := range hints {
		here, err := reading.look(ctx, hint.Name)
		if err != nil {
			return 0, nil, err
		}
		if why := pdns.Lone(zone, hint.Name, here); why != "" {
			return 0, nil, noDelta(why)
		}
		if err := reading.stands(ctx, hint.Name, len(here) == 0); err != nil {
			return 0, nil, err
		}
		set := pdns.RRset{Name: hint.Name, Type: hint.Type}
		if at := slices.IndexFunc(here, func(s pdns.RRset) bool { return s.Is(hint.Name, hint.Type) }); at >= 0 {
			set = here[at]
		}
		sets = append(sets, set)
	}
	soa, err := reading.end(ctx)
	if err != nil {
		return 0, nil, err
	}
	sets = append(sets, soa)
	for _, set := range sets {
		if _, err := set.RRs(); err != nil {
			return 0, nil, noDelta(err.Error())
		}
	}
	return reading.serial, sets, nil
}

// reading is what was read of a zone on the primary, all at one serial.
type reading struct {
	deltas
	zone   string
	serial uint32
	at     map[string][]pdns.RRset
}

// begin reads the first name, and decides whether the zone has come to where it is
// by just these calls.
func (r *reading) begin(ctx context.Context, last pdns.Version, name string, calls int) error {
	held, sets, err := r.Source.RRsets(ctx, r.zone, name)
	switch {
	case err != nil:
		return err
	case r.leavesOut(held) != "":
		return noDelta("it is not distributed")
	case held.DNSSEC || held.Presigned:
		return noDelta("the zone is signed")
	case held.EditedSerial != held.Serial:
		return noDelta("its serial is edited as it is served")
	}
	switch pdns.SerialAfter(last.Serial, held.Serial, calls, held.SOAEditAPI, time.Now()) {
	case pdns.MovedFurther:
		return errMovedFurther
	case pdns.MovedOtherwise:
		return noDelta(fmt.Sprintf("the serial is %d, which %d API calls do not make of %d", held.Serial, calls, last.Serial))
	}
	r.serial, r.at[name] = held.Serial, sets
	return nil
}

// look returns the RRsets at a name.
func (r *reading) look(ctx context.Context, name string) ([]pdns.RRset, error) {
	if sets, known := r.at[name]; known {
		return sets, nil
	}
	if len(r.at) >= pdns.MaxDeltaNames {
		return nil, noDelta("too many names are to be looked at")
	}
	_, sets, err := r.Source.RRsets(ctx, r.zone, name)
	if err == nil {
		r.at[name] = sets
	}
	return sets, err
}

// stands checks what is around a name: no delegation above it; and where it is
// empty now, that its going makes no empty non-terminal and ends none.
func (r *reading) stands(ctx context.Context, name string, empty bool) error {
	for i, above := range pdns.Between(r.zone, name) {
		sets, err := r.look(ctx, above)
		switch {
		case err != nil:
			return err
		case pdns.Delegates(sets):
			return noDelta(name + " is below a delegation")
		case i == 0 && empty && len(sets) == 0:
			return noDelta(name + " is gone and may have been all that is below " + above)
		}
	}
	if !empty {
		return nil
	}
	// The empty non-terminals are right where each change is followed by a
	// rectification, and only then does NXDOMAIN say that nothing is below.
	rectifies, err := r.Source.Rectifies(ctx, r.zone)
	if err != nil {
		return err
	}
	absent := false
	if rectifies {
		absent, err = r.Absence.Absent(ctx, r.DNSAddress, name)
	}
	if err == nil && !absent {
		err = noDelta(name + " is gone, and something may be below it")
	}
	return err
}

// end reads the SOA.
func (r *reading) end(ctx context.Context) (pdns.RRset, error) {
	held, sets, err := r.Source.RRsets(ctx, r.zone, r.zone)
	if err != nil {
		return pdns.RRset{}, err
	}
	at := slices.IndexFunc(sets, func(s pdns.RRset) bool { return s.Is(r.zone, "SOA") })
	switch {
	case held.Serial != r.serial:
		return pdns.RRset{}, errMovedFurther
	case at < 0:
		return pdns.RRset{}, noDelta("its SOA is not to be seen")
	case slices.ContainsFunc(sets, func(s pdns.RRset) bool { return s.Type == "DNAME" }):
		return pdns.RRset{}, noDelta("all of the zone is below a DNAME")
	}
	return sets[at], nil
}
