package activities_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// fakeZones is a primary's list and what was published, as a test wants them:
// scans of thousands of zones at chosen moments.
type fakeZones struct {
	listed []api.Zone
	fails  error
	newest map[string]pdns.Version
	// publish is called each time that somebody asks what is published.
	publish func()
	// takes is how long listing takes.
	takes time.Duration
}

func (f *fakeZones) ServedZones(context.Context) iter.Seq2[api.Zone, error] {
	return func(yield func(api.Zone, error) bool) {
		<-time.After(f.takes)
		for _, zone := range f.listed {
			if !yield(zone, nil) {
				return
			}
		}
		if f.fails != nil {
			yield(api.Zone{}, f.fails)
		}
	}
}

func (f *fakeZones) Newest(context.Context) (map[string]pdns.Version, error) {
	if f.publish != nil {
		f.publish()
	}
	return maps.Clone(f.newest), nil
}

// fakeSyncs notes what is started.
type fakeSyncs struct {
	fails           error
	never           string
	alone, leftOver []string
	batches         [][]string
	// publish is called for each batch that is waited for.
	publish func(zones []string)
	// slow are zones whose batch does not end.
	slow string
}

func (f *fakeSyncs) StartSync(_ context.Context, zone, _ string) error {
	if f.fails != nil {
		return f.fails
	}
	if zone == f.never {
		return activities.ErrNeverSynced
	}
	f.alone = append(f.alone, zone)
	return nil
}

func (f *fakeSyncs) SyncLeftOver(_ context.Context, zone string, _ int) error {
	f.leftOver = append(f.leftOver, zone)
	return nil
}

func (f *fakeSyncs) StartBatch(_ context.Context, _ string, zones []string, _ string) error {
	f.batches = append(f.batches, zones)
	return nil
}

func (f *fakeSyncs) SyncBatch(ctx context.Context, _ string, zones []string, _ string) (map[string]int, error) {
	if slices.Contains(zones, f.slow) {
		<-ctx.Done()
		return nil, serviceerror.NewDeadlineExceeded("as Temporal's client says it")
	}
	f.publish(zones)
	return map[string]int{activities.ExportPublished: len(zones)}, nil
}

// started returns all zones whose syncs were started, sorted, and forgets them.
func (f *fakeSyncs) started() []string {
	all := slices.Clone(f.alone)
	for _, batch := range f.batches {
		all = append(all, batch...)
	}
	f.alone, f.batches = nil, nil
	slices.Sort(all)
	return all
}

// published is the catalogue that was published last.
type published struct{ list any }

func (p *published) PublishList(_ context.Context, _ string, list any) (string, error) {
	p.list = list
	return "the list", nil
}

func newScanner(zones *fakeZones, syncs *fakeSyncs) *activities.Scanner {
	return &activities.Scanner{ID: "primary-1", PowerDNS: zones, Versions: zones, Lists: &published{}, Syncs: syncs}
}

func scan(t *testing.T, s *activities.Scanner) activities.ScanZonesResult {
	t.Helper()
	result, err := run[activities.ScanZonesResult](s, s.ScanZones, activities.ScanZonesInput{Trigger: "scan"})
	require.NoError(t, err)
	return result
}

func native(name string, serial uint32) api.Zone {
	return api.Zone{Name: name, Kind: "Native", EditedSerial: serial}
}

func TestScanHasSyncedWhatDiffersAndNotAgainWhatStillStandsTheSame(t *testing.T) {
	zones := &fakeZones{
		listed: []api.Zone{native("a.", 1), native("b.", 2), native("new.", 1), {Name: "theirs.", Kind: "Slave"}},
		newest: map[string]pdns.Version{"a.": {Zone: "a.", Serial: 1}, "b.": {Zone: "b.", Serial: 1}, "gone.": {Zone: "gone.", Serial: 1}},
	}
	syncs := &fakeSyncs{}
	s := newScanner(zones, syncs)
	result := scan(t, s)
	require.Equal(t, []string{"b.", "gone.", "new."}, syncs.started())
	require.Equal(t, activities.DriftCounts{Unpublished: 1, Changed: 1, Gone: 1, Names: []string{"b.", "gone.", "new."}}, result.Drift)
	require.Equal(t, 3, result.Started)
	require.Equal(t, 3, result.Zones)
	require.Equal(t, map[string]int{"Slave": 1}, result.NotDistributed)

	result = scan(t, s)
	require.Empty(t, syncs.started(), "their syncs published nothing, and nothing has changed since")
	require.Equal(t, 3, result.Drift.Unpublished+result.Drift.Changed+result.Drift.Gone, "they are told all the same")

	zones.listed[1].EditedSerial = 3
	scan(t, s)
	require.Equal(t, []string{"b."}, syncs.started(), "it was changed again")
}

// A sync that could not be started is owed still.
func TestScanTakesAgainWhatItCouldNotStart(t *testing.T) {
	zones := &fakeZones{listed: []api.Zone{native("new.", 1)}, newest: map[string]pdns.Version{}}
	syncs := &fakeSyncs{fails: errors.New("Temporal does not answer")}
	s := newScanner(zones, syncs)
	_, err := run[activities.ScanZonesResult](s, s.ScanZones, activities.ScanZonesInput{})
	require.ErrorContains(t, err, "Temporal does not answer")
	syncs.fails = nil
	result := scan(t, s)
	require.Equal(t, []string{"new."}, syncs.started())
	require.Equal(t, 1, result.New.Unpublished)
}

// Where listing takes long, paced scans are left out so that it takes 1 % of the
// time; one asked for by hand is made.
func TestScanRestsWhereListingTakesLong(t *testing.T) {
	zones := &fakeZones{newest: map[string]pdns.Version{}, takes: 20 * time.Millisecond}
	s := newScanner(zones, &fakeSyncs{})
	began := time.Now()
	scan(t, s)
	result, err := run[activities.ScanZonesResult](s, s.ScanZones, activities.ScanZonesInput{Paced: true})
	require.NoError(t, err)
	require.Greater(t, result.LeftOut.Sub(began), 99*zones.takes)
	require.True(t, scan(t, s).LeftOut.IsZero())
}

// A failed list is no list without zones.
func TestScanOfAPrimaryThatFailsStartsNothing(t *testing.T) {
	syncs := &fakeSyncs{}
	zones := &fakeZones{fails: errors.New("500"), newest: map[string]pdns.Version{"a.": {Zone: "a.", Serial: 1}}}
	s := newScanner(zones, syncs)
	_, err := run[activities.ScanZonesResult](s, s.ScanZones, activities.ScanZonesInput{})
	require.ErrorContains(t, err, "500")
	_, err = run[activities.SurveyZonesResult](s, s.SurveyZones, activities.SurveyZonesInput{})
	require.ErrorContains(t, err, "500")
	require.Empty(t, syncs.started())
}

// What jumps all at once is spread over scans: a thousand zones each, of those with
// old signatures alone 500.
func TestScanSpreadsManyZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which waits for none of them to settle
		zones := &fakeZones{newest: make(map[string]pdns.Version)}
		for i := range 1700 {
			name := fmt.Sprintf("changed%04d.", i)
			zones.listed = append(zones.listed, native(name, 2))
			zones.newest[name] = pdns.Version{Zone: name, Serial: 1}
		}
		syncs := &fakeSyncs{}
		s := newScanner(zones, syncs)
		result := scan(t, s)
		require.Equal(t, 1000, result.Started)
		require.Equal(t, 700, result.Waiting)
		require.Len(t, syncs.batches, 4)
		first := syncs.started()
		result = scan(t, s)
		require.Equal(t, 700, result.Started)
		require.NotContains(t, syncs.started(), first[0])

		rolled := pdns.LastSignatureRoll(time.Now())
		zones.listed, zones.newest = nil, make(map[string]pdns.Version)
		for i := range 600 {
			name := fmt.Sprintf("signed%03d.", i)
			zone := native(name, 1)
			zone.DNSSEC = true
			zones.listed = append(zones.listed, zone)
			zones.newest[name] = pdns.Version{Zone: name, Serial: 1, Signed: true, Expires: rolled.Add(7 * 24 * time.Hour), Time: rolled.Add(-time.Hour)}
		}
		require.Equal(t, 500, scan(t, s).Started)
		require.Equal(t, 100, scan(t, s).Started)
		require.Zero(t, scan(t, s).Started)
	})
}

// In an import, zones are published one after the other by syncs that are under way:
// only those are synced again of which nothing has come, or a few that are left.
func TestZonesUnderWayAreNotSyncedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		rounds int // of ten zones each
		synced int
	}{
		"nothing comes":    {0, 60},
		"some do not come": {2, 40},
		"few do not come":  {4, 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zones, looks := &fakeZones{newest: map[string]pdns.Version{}}, 0
				for i := range 60 {
					zones.listed = append(zones.listed, native(fmt.Sprintf("new%02d.", i), 1))
				}
				zones.publish = func() {
					if looks++; looks > 1 && looks <= 1+test.rounds {
						for _, zone := range zones.listed[(looks-2)*10 : (looks-1)*10] {
							zones.newest[zone.Name] = pdns.Version{Zone: zone.Name, Version: 1, Serial: 1}
						}
					}
				}
				syncs := &fakeSyncs{}
				s := newScanner(zones, syncs)
				result := scan(t, s)
				require.Equal(t, test.synced, result.Started)
				require.Equal(t, test.synced, result.New.Unpublished)
				require.Equal(t, result.New, result.Drift, "what came meanwhile is no drift")
				require.Len(t, syncs.started(), test.synced)

				looks, zones.newest = 0, map[string]pdns.Version{}
				syncs.publish = func(asked []string) { require.Len(t, asked, test.synced) }
				surveyed, err := run[activities.SurveyZonesResult](s, s.SurveyZones, activities.SurveyZonesInput{})
				require.NoError(t, err)
				require.Equal(t, test.synced, surveyed.Drift.Unpublished)
				require.Equal(t, 60-test.synced, surveyed.Zones, "of what came meanwhile the catalogue tells")
			})
		})
	}
}

// The survey waits for its syncs, and its catalogue has what they published.
func TestSurveyPublishesWhatItHadSynced(t *testing.T) {
	zones := &fakeZones{
		listed: []api.Zone{native("a.", 1), native("new.", 5), native("narrow.", 7)},
		newest: map[string]pdns.Version{"a.": {Zone: "a.", Version: 1, Serial: 1}, "gone.": {Zone: "gone.", Version: 1, Serial: 1}},
	}
	syncs := &fakeSyncs{publish: func(asked []string) {
		require.Equal(t, []string{"gone.", "narrow.", "new."}, asked)
		zones.newest["new."] = pdns.Version{Zone: "new.", Version: 2, Serial: 5}
		zones.newest["gone."] = pdns.Version{Zone: "gone.", Version: 2, Deleted: true}
	}}
	s := newScanner(zones, syncs)
	list := &published{}
	s.Lists = list
	result, err := run[activities.SurveyZonesResult](s, s.SurveyZones, activities.SurveyZonesInput{Trigger: "health-check"})
	require.NoError(t, err)
	require.Equal(t, "the list", result.Catalogue)
	require.Equal(t, 2, result.Zones)
	require.Equal(t, map[string]int{activities.ExportPublished: 3}, result.Synced)
	require.Equal(t, []pdns.Catalogued{
		{Zone: "a.", Version: 1, Serial: 1}, {Zone: "gone.", Version: 2, Deleted: true},
		{Zone: "narrow."}, {Zone: "new.", Version: 2, Serial: 5},
	}, list.list, "a zone that cannot be published is no orphan on secondaries")
}

// After a loss every zone is exported, those that seem right too.
func TestSurveyOfAllExportsEveryZone(t *testing.T) {
	zones := &fakeZones{
		listed: []api.Zone{native("a.", 1), native("b.", 1)},
		newest: map[string]pdns.Version{"a.": {Zone: "a.", Serial: 1}, "b.": {Zone: "b.", Serial: 1}, "gone.": {Zone: "gone.", Serial: 1}},
	}
	var asked []string
	s := newScanner(zones, &fakeSyncs{publish: func(zones []string) { asked = zones }})
	_, err := run[activities.SurveyZonesResult](s, s.SurveyZones, activities.SurveyZonesInput{All: true})
	require.NoError(t, err)
	require.Equal(t, []string{"a.", "b.", "gone."}, asked)
}

// Where the time is not enough for all syncs, the survey ends with what it has.
func TestSurveyEndsInTime(t *testing.T) {
	zones := &fakeZones{listed: make([]api.Zone, 0, 251), newest: map[string]pdns.Version{}}
	for i := range 251 { // two batches
		zones.listed = append(zones.listed, native(fmt.Sprintf("z%03d.", i), 1))
	}
	s := newScanner(zones, &fakeSyncs{publish: func([]string) {}, slow: "z250."})
	s.SyncWithin = 100 * time.Millisecond
	result, err := run[activities.SurveyZonesResult](s, s.SurveyZones, activities.SurveyZonesInput{All: true})
	require.NoError(t, err)
	require.Equal(t, 1, result.Left)
	require.Equal(t, map[string]int{activities.ExportPublished: 250}, result.Synced)
}

// A zone whose sync nothing can start does not keep the others from theirs.
func TestScanLeavesOutWhatCanNeverBeSynced(t *testing.T) {
	syncs := &fakeSyncs{never: "two.example."}
	zones := &fakeZones{listed: []api.Zone{native("one.example.", 1), native("two.example.", 1), native("three.example.", 1)}}
	scan(t, newScanner(zones, syncs))
	require.Equal(t, []string{"one.example.", "three.example."}, syncs.started())
}
