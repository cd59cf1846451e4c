package workflows

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// pair is two primaries: "writer", and "reader", whose database lags. Both publish into one bucket.
type pair struct {
	*syncTest
	start  time.Time
	newest pdns.Version
	// holds is the content of each, as a serial.
	holds map[string]uint32
	// away says which of them do not answer.
	away map[string]bool
	// refused says which of them may not transfer the zone.
	refused map[string]bool
	// overruling is what fails an export that overrules another primary.
	overruling error
	// exports lists who exported in which order.
	exports []string
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{syncTest: newSyncTest(t, "a"), holds: map[string]uint32{"writer": 10, "reader": 10}, away: map[string]bool{}}
	p.start = p.Now()
	p.newest = pdns.Version{Zone: "example.org.", Version: 10, Serial: 10, Digest: "10", Publisher: "writer"}
	p.applying()
	p.serving(pdns.ServedCurrent)
	p.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(p.export)
	return p
}

// export follows the rules of the activity. Workflows run on the reader, and so does what any primary may do while the
// writer is away.
func (p *pair) export(ctx context.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
	id := "reader"
	switch activity.GetInfo(ctx).TaskQueue {
	case PrimaryHostQueue("writer"):
		id = "writer"
	case PrimaryHostQueue("reader"):
	default:
		if in.Local && in.Primary != "" && in.Primary != id {
			return activities.ExportZoneResult{Outcome: activities.ExportElsewhere, Timing: testTiming}, nil
		}
	}
	if p.away[id] {
		return activities.ExportZoneResult{}, errors.New("it is away")
	}
	if p.refused[id] {
		return activities.ExportZoneResult{}, temporal.NewNonRetryableApplicationError("refused", activities.ErrTypeBadInput, nil)
	}
	if in.Overrule != "" && p.overruling != nil {
		return activities.ExportZoneResult{}, p.overruling
	}
	p.exports = append(p.exports, id)
	next := pdns.Version{Zone: in.Zone, Version: p.newest.Version + 1, Serial: p.holds[id], Digest: p.newest.Digest, Publisher: id}
	result := activities.ExportZoneResult{Primary: id, Timing: testTiming}
	switch {
	case p.newest.Serial == next.Serial:
		result.Outcome = activities.ExportUnchanged
	case p.newest.Publisher != in.Overrule && !p.newest.Yields(next, in.Taken && in.Primary == id):
		result.Outcome, result.Reason = activities.ExportBehind, "they differ"
	default:
		result.Outcome, p.newest = activities.ExportPublished, next
	}
	result.Version = p.newest
	return result, nil
}

func (p *pair) passed() time.Duration { return p.Now().Sub(p.start) }

func TestALaggingPrimaryIsNotBelieved(t *testing.T) {
	p := newPair(t)
	p.holds["reader"] = 9
	result := p.run(t, SyncZoneInput{Zone: "example.org."})
	require.EqualValues(t, 10, p.newest.Serial)
	require.Equal(t, OutcomeFailed, result.Outcome, "they disagreed for max_lag")
	require.Contains(t, result.Error, "replication")
	require.LessOrEqual(t, p.passed(), 2*testTiming.MaxLag, "nobody waits for this: it is given up")
	require.Less(t, len(p.exports), 20)
}

// Who asks for a resync by hand is not told that all is in sync while it is not known what is right.
func TestAResyncThatPrimariesDisagreeAboutIsPartial(t *testing.T) {
	p := newPair(t)
	p.holds["reader"] = 9
	var answer SyncZoneResult
	p.RegisterDelayedCallback(func() {
		p.UpdateWorkflow(UpdateSync, "", &testsuite.TestUpdateCallback{
			OnAccept: func() {}, OnReject: func(err error) { require.NoError(t, err) },
			OnComplete: func(result any, err error) {
				require.NoError(t, err)
				answer = result.(SyncZoneResult)
			},
		}, ZoneChange{Trigger: TriggerManual})
	}, 0)
	p.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, OutcomePartial, answer.Outcome)
	require.Contains(t, answer.Error, "replication")
}

// Each primary that must be asked has max_lag to come back, also where another one has been away for long.
func TestEachAbsentPrimaryHasMaxLag(t *testing.T) {
	var p primaries
	at := time.Now()
	require.Equal(t, time.Minute, p.absent([]string{"a"}, at, at, time.Minute))
	at = at.Add(50 * time.Second)
	require.Equal(t, 10*time.Second, p.absent([]string{"a"}, at, at, time.Minute))
	require.Equal(t, time.Minute, p.absent([]string{"a", "b"}, at, at, time.Minute), "b has just gone")
	at = at.Add(50 * time.Second)
	require.Equal(t, 10*time.Second, p.absent([]string{"b"}, at, at, time.Minute))
	p.present()
	require.Equal(t, time.Minute, p.absent([]string{"b"}, at, at, time.Minute))
}

func TestPrimariesOnOneDatabaseAgreeAtOnce(t *testing.T) {
	p := newPair(t)
	p.holds = map[string]uint32{"writer": 5, "reader": 5} // a restored backup
	result := p.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, []string{"reader", "writer", "reader"}, p.exports)
	require.EqualValues(t, 5, result.Serial)
	require.Equal(t, "writer", result.Publisher)
	require.Equal(t, OutcomeInSync, result.Outcome)
}

func TestAChangeIsKeptUntilThePrimariesAgree(t *testing.T) {
	p := newPair(t)
	p.newest.Publisher, p.holds["writer"] = "reader", 10
	p.RegisterDelayedCallback(func() {
		p.holds["writer"] = 5 // the serial went back, and the reader lags for longer than max_lag
		p.SignalWorkflow(SignalZoneChanged, ZoneChange{Primary: "writer", Taken: true})
	}, time.Second)
	p.RegisterDelayedCallback(func() { require.EqualValues(t, 10, p.newest.Serial) }, 5*time.Minute)
	p.RegisterDelayedCallback(func() { p.holds["reader"] = 5 }, 5*time.Minute)
	result := p.run(t, SyncZoneInput{Zone: "example.org."})
	require.EqualValues(t, 5, result.Serial)
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Less(t, p.passed(), 6*time.Minute)
}

func TestAnAbsentPublisherIsOverruledAfterMaxLag(t *testing.T) {
	p := newPair(t)
	p.away["writer"] = true
	p.holds["reader"] = 5
	p.RegisterDelayedCallback(func() { require.EqualValues(t, 10, p.newest.Serial) }, testTiming.MaxLag-time.Second)
	result := p.run(t, SyncZoneInput{Zone: "example.org."})
	require.EqualValues(t, 5, result.Serial)
	require.Equal(t, "reader", result.Publisher)
	require.Equal(t, OutcomeInSync, result.Outcome)
}

// The primary that took the change fails for a moment, just as the absent one is to be overruled.
func TestAChangeIsKeptWhenItsPrimaryFailsAsItOverrules(t *testing.T) {
	p := newPair(t)
	p.newest.Publisher, p.holds["writer"] = "reader", 10
	p.away["reader"] = true
	p.overruling = errors.New("a blip")
	p.RegisterDelayedCallback(func() {
		p.holds["writer"] = 5
		p.SignalWorkflow(SignalZoneChanged, ZoneChange{Primary: "writer", Taken: true})
	}, time.Second)
	p.RegisterDelayedCallback(func() { p.overruling = nil }, testTiming.MaxLag+2*time.Second)
	result := p.run(t, SyncZoneInput{Zone: "example.org.", Primary: "writer"})
	require.EqualValues(t, 5, result.Serial)
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Less(t, p.passed(), 2*testTiming.MaxLag)
}

// The primary that took the change is gone; the other one's database has the change only later.
func TestAChangeWhosePrimaryDiedIsNotLost(t *testing.T) {
	for _, lag := range []time.Duration{0, 3 * time.Second, testTiming.MaxLag - time.Second} {
		t.Run(lag.String(), func(t *testing.T) {
			p := newPair(t)
			p.away["writer"] = true
			p.RegisterDelayedCallback(func() { p.holds["reader"] = 11 }, lag)
			p.RegisterDelayedCallback(func() {}, time.Hour)
			p.newest.Publisher = "reader"
			result := p.run(t, SyncZoneInput{Zone: "example.org.", Primary: "writer"})
			require.EqualValues(t, 11, result.Serial)
			require.Equal(t, OutcomeInSync, result.Outcome)
			require.Less(t, p.passed(), testTiming.MaxLag+10*time.Second)
		})
	}
}

// The primary that took the change is gone for long; the other one may not transfer the zone.
func TestAChangeIsKeptWhereOnlyARefusedPrimaryIsLeft(t *testing.T) {
	p := newPair(t)
	p.holds["writer"], p.away["writer"], p.refused = 11, true, map[string]bool{"reader": true}
	p.RegisterDelayedCallback(func() { p.SignalWorkflow(SignalZoneChanged, ZoneChange{Primary: "writer", Taken: true}) }, 0)
	var meanwhile SyncZoneResult
	p.RegisterDelayedCallback(func() {
		answer, err := p.QueryWorkflow(QueryStatus)
		require.NoError(t, err)
		require.NoError(t, answer.Get(&meanwhile))
		p.away["writer"] = false
	}, 2*testTiming.MaxLag)
	result := p.run(t, SyncZoneInput{Zone: "example.org.", Primary: "writer"})
	require.Contains(t, meanwhile.Error, "refused")
	require.Contains(t, meanwhile.Error, "writer")
	require.EqualValues(t, 11, result.Serial)
	require.Equal(t, OutcomeInSync, result.Outcome)
}

// Once its change is settled, the absent primary is not waited for.
func TestARefusedExportAfterASettledChangeIsGivenUp(t *testing.T) {
	p := newPair(t)
	p.holds["writer"] = 11
	p.RegisterDelayedCallback(func() { p.SignalWorkflow(SignalZoneChanged, ZoneChange{Primary: "writer", Taken: true}) }, 0)
	p.RegisterDelayedCallback(func() {
		require.EqualValues(t, 11, p.newest.Serial)
		p.away["writer"], p.refused = true, map[string]bool{"reader": true}
		p.SignalWorkflow(SignalZoneChanged, ZoneChange{})
	}, 5*time.Second)
	require.Equal(t, OutcomeFailed, p.run(t, SyncZoneInput{Zone: "example.org.", Primary: "writer"}).Outcome)
	require.Less(t, p.passed(), testTiming.MaxLag)
}

// One that no change asks for by name is given up.
func TestARefusedExportIsGivenUp(t *testing.T) {
	p := newPair(t)
	p.refused = map[string]bool{"reader": true, "writer": true}
	require.Equal(t, OutcomeFailed, p.run(t, SyncZoneInput{Zone: "example.org."}).Outcome)
	require.Less(t, p.passed(), testTiming.MaxLag)
}

// A request that a read-only primary refused is no sign that its database is the newer one.
func TestAFailedChangeDoesNotDisplaceASureOne(t *testing.T) {
	p := newPair(t)
	p.holds["writer"] = 11
	p.RegisterDelayedCallback(func() {
		p.SignalWorkflow(SignalZoneChanged, ZoneChange{Primary: "writer", Taken: true})
		p.SignalWorkflow(SignalZoneChanged, ZoneChange{Primary: "reader"})
	}, 0)
	result := p.run(t, SyncZoneInput{Zone: "example.org.", Primary: "writer"})
	require.EqualValues(t, 11, result.Serial)
	require.NotContains(t, p.exports, "reader")
}

func TestSyncZonesAsksThePublisher(t *testing.T) {
	zones := []string{"agreed.example.", "lagging.example."}
	for _, trigger := range []string{TriggerEvent, TriggerManual} {
		t.Run(trigger, func(t *testing.T) {
			env := newBatchTest(t, "a")
			var queues []string
			env.OnActivity(primary.ExportZones, mock.Anything, mock.Anything).Return(
				func(ctx context.Context, in activities.ZonesInput) (activities.ZonesResult, error) {
					queues = append(queues, activity.GetInfo(ctx).TaskQueue)
					result := activities.ZonesResult{Outcomes: map[string]int{}, Primary: "reader", Timing: testTiming}
					switch len(queues) {
					case 1:
						result.Behind = []activities.ZonesBehind{{Publisher: "writer", Zones: zones}}
						result.Outcomes[activities.ExportBehind] = 2
					case 2:
						result.Outcomes[activities.ExportUnchanged] = 2
					case 3:
						result.Behind = []activities.ZonesBehind{{Publisher: "writer", Zones: zones[1:]}}
						result.Outcomes[activities.ExportUnchanged], result.Outcomes[activities.ExportBehind] = 1, 1
					}
					return result, nil
				})
			env.OnActivity(secondary.ApplyZones, mock.Anything, mock.Anything).Return(activities.ZonesResult{}, nil)
			env.OnActivity(verifier.VerifyZones, mock.Anything, mock.Anything).Return(activities.ZonesResult{}, nil)
			env.OnActivity(directory.StartSyncs, mock.Anything, activities.ZonesInput{Zones: zones[1:], Trigger: trigger}).Return(nil).Maybe()
			result := env.runBatch(t, SyncZonesInput{Zones: zones, Trigger: trigger})
			require.Equal(t, []string{PrimaryQueue, PrimaryHostQueue("writer"), PrimaryHostQueue("reader")}, queues)
			require.Equal(t, map[string]int{activities.ExportUnchanged: 1, activities.ExportBehind: 1}, result.Exported)
			if trigger == TriggerEvent {
				require.Equal(t, zones[1:], result.Alone)
			} else {
				require.Empty(t, result.Alone, "the published versions stand")
			}
		})
	}
}

func TestSyncZonesLooksAgainWhereItsPrimaryDied(t *testing.T) {
	env := newBatchTest(t, "a")
	exported := 0
	start := env.Now()
	env.OnActivity(primary.ExportZones, mock.Anything, mock.Anything).Return(
		func(ctx context.Context, _ activities.ZonesInput) (activities.ZonesResult, error) {
			if activity.GetInfo(ctx).TaskQueue != PrimaryQueue {
				return activities.ZonesResult{}, errors.New("it is away")
			}
			exported++
			return activities.ZonesResult{Outcomes: map[string]int{activities.ExportUnchanged: 1}, Primary: "reader", Timing: testTiming}, nil
		})
	env.OnActivity(secondary.ApplyZones, mock.Anything, mock.Anything).Return(activities.ZonesResult{}, nil).Twice()
	env.OnActivity(verifier.VerifyZones, mock.Anything, mock.Anything).Return(activities.ZonesResult{}, nil).Once()
	result := env.runBatch(t, SyncZonesInput{Zones: []string{"a.example."}, Trigger: TriggerEvent, Primary: "writer", Taken: true})
	require.Equal(t, 2, exported)
	require.GreaterOrEqual(t, env.Now().Sub(start), testTiming.MaxLag)
	require.Len(t, result.Secondaries, 1)
	require.Equal(t, OutcomeInSync, result.Outcome)
	env.AssertExpectations(t)
}
