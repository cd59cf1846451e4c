package e2e

import (
	"sync"
	"testing"

	"golang.org/x/sync/semaphore"
)

// What a test with a system of its own takes of two cores, in tenths of one: where it keeps it busy, and where it waits for most
// of its time.
const busy, idle = 5, 3

// TestSites are the tests that have a system of their own, which they may break. So many run at the same time as two cores are
// for: two busy ones with two others, or five others. What must be right within seconds of a fault is not, where ten times
// as much runs as there are cores. The longest come first, so that none is left to the end alone.
func TestSites(t *testing.T) {
	t.Parallel()
	cores := semaphore.NewWeighted(2*busy + 2*idle)
	var running sync.WaitGroup
	for _, c := range []struct {
		name   string
		tenths int64
		test   func(t *testing.T)
	}{
		{"FaultsOfHosts", busy, testFaultsOfHosts},
		{"Checks", busy, testChecks},
		{"CheckWorkerKilledAtEvenSteps", idle, testCheckWorkerKilledAtEvenSteps},
		{"CheckWorkerKilledAtOddSteps", idle, testCheckWorkerKilledAtOddSteps},
		{"StandbyDatabaseAlone", idle, testStandbyDatabaseAlone},
		{"StandbyDatabase", idle, testStandbyDatabase},
		{"OneOfTwoPrimaries", idle, testOneOfTwoPrimaries},
		{"FaultsOfServers", busy, testFaultsOfServers},
		{"SecondaryLife", idle, testSecondaryLife},
		{"SyncWorkerKilled", idle, testSyncWorkerKilled},
		{"DataWiped", busy, testDataWiped},
		{"CommandLine", idle, testCommandLine},
		{"Guard", busy, testGuard},
		{"TwoPrimaries", idle, testTwoPrimaries},
		{"RolesApart", idle, testRolesApart},
		{"Sweeps", busy, testSweeps},
		{"DatabaseOfTwoPrimaries", idle, testDatabaseOfTwoPrimaries},
		{"Demo", idle, testDemo},
	} {
		must(t, cores.Acquire(t.Context(), c.tenths))
		running.Go(func() {
			defer cores.Release(c.tenths)
			t.Run(c.name, c.test)
		})
	}
	running.Wait()
}
