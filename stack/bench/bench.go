// Package bench measures how long zone changes take to reach the secondaries: from outside, through the api-proxy and by
// DNS, on a system that it starts and ends itself.
//
// Whatever it measures of the product it measures in the same run of two more ways between the same servers, in turns:
// PowerDNS's own replication by NOTIFY and AXFR, and the floor, which is PowerDNS told by API to fetch the zone from the
// primary at once. The times say something about the machine, their ratios about the product.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	temporal "go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/stack/client"
	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// Options choose what is measured, and how much of it.
type Options struct {
	// Dir holds the system and result.json.
	Dir string
	// Scenarios are the names of those to run; empty means the usual ones.
	Scenarios []string
	// Changes of a zone, one after the other, are measured of the product and of the floor.
	Changes int
	// Native is how many of them native replication, which takes a second for each, takes part in.
	Native int
	// Burst is how many changes to one zone make a burst.
	Burst int
	// Zones are the sizes of imports; a fresh secondary and the health check have to do with as many as the last one.
	Zones []int
	// NativeZones is how many of them native replication, which takes a second for 40, takes part with at most.
	NativeZones int
	// Deletes is how many of the imported zones are deleted.
	Deletes int
	// Records are the sizes of big zones, Signed the same of signed ones.
	Records, Signed []int
	// Soak is how long zones are changed at leisure while memory is watched.
	Soak time.Duration
	// Idle is how long the idle system is watched.
	Idle time.Duration
	// RoundTrips are the delays of the secondaries' connections to NATS, Consul and Temporal in the scenario distance.
	RoundTrips []time.Duration
	// Away is that delay in all other scenarios.
	Away time.Duration
	// Baselines is the folder of committed results; the newest of each figure is compared with.
	Baselines string
	// Record writes the result there.
	Record bool
	// Keep leaves the stopped system's data and logs in Dir.
	Keep bool
	// Progress takes what a reader wants to know meanwhile, Out the result.
	Progress, Out io.Writer
}

// bench is one run.
type bench struct {
	Options
	sys           *system.System
	env           map[string]string
	proxy, direct *client.Nameserver
	secondaries   []*client.Nameserver
	temporal      temporal.Client
	all           []*way
	imported      map[string]batch // by way: the last one
	detours       []detour         // between secondaries and servers, once there are any
	repeated      atomic.Int64
	result        *Result
}

// scenario is one chapter of a run.
type scenario struct {
	name, about string
	usual       bool // part of a run that names none
	run         func(*bench, context.Context) error
}

// scenarios in their order: what only takes time first, what fills the servers next, what starts secondaries anew last.
var scenarios = []scenario{
	{"change", "one change after the other, at leisure and in a row", true, (*bench).changes},
	{"trace", "the hops of single changes, by OpenTelemetry", false, (*bench).trace},
	{"burst", "many changes to one zone", true, (*bench).burst},
	{"records", "big zones: first sync, and one-record changes", true, (*bench).records},
	{"import", "many new zones, and a change meanwhile", true, (*bench).imports},
	{"check", "a full health check of as many zones", true, (*bench).check},
	{"soak", "memory over a long time of changes among as many zones", false, (*bench).soak},
	{"scan", "changes past the product, among as many zones", false, (*bench).scan},
	{"fresh", "a secondary that has lost everything", false, (*bench).fresh},
	{"delete", "deletion of many zones", true, (*bench).deletes},
	{"cost", "CPU, octets sent, exports and history events of a change", true, (*bench).cost},
	{"distance", "changes with delay between the secondaries and NATS, Consul and Temporal", true, (*bench).distance},
}

// Names returns the scenarios' names, each with what it is about.
func Names() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name+" ("+s.about+")")
	}
	return names
}

// Run measures, prints the result with its comparison, and writes Dir/result.json. When a scenario fails the others are
// measured nevertheless.
func Run(ctx context.Context, opts Options) (err error) {
	chosen, err := choose(opts.Scenarios)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the detours
	b := &bench{Options: opts, imported: map[string]batch{}}
	if err := b.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.end(ctx)) }()
	if b.Away > 0 {
		if err := b.moveAway(ctx); err != nil {
			return err
		}
		b.delay(b.Away)
	}
	for _, s := range chosen {
		b.say("%s: %s", s.name, s.about)
		if failed := b.measure(ctx, s); failed != nil {
			b.say("  failed: %v", failed)
			err = errors.Join(err, fmt.Errorf("%s: %w", s.name, failed))
		}
		if ctx.Err() != nil {
			return err
		}
	}
	if err != nil {
		err = errors.Join(err, b.sys.ProductLogs())
	}
	b.result.Took = time.Since(b.result.Began).Round(time.Second).Seconds()
	b.result.Repeated = b.repeated.Load()
	return errors.Join(err, b.publish())
}

// measure runs one scenario and notes the most memory that each process had meanwhile.
func (b *bench) measure(ctx context.Context, s scenario) error {
	if err := b.forgetPeaks(); err != nil {
		return err
	}
	if err := s.run(b, ctx); err != nil {
		return err
	}
	return b.notePeaks(s.name)
}

func choose(names []string) ([]scenario, error) {
	for _, name := range names {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			return nil, fmt.Errorf("no scenario is called %q; there are: %s", name, strings.Join(Names(), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool {
		return len(names) == 0 && !s.usual || len(names) > 0 && !slices.Contains(names, s.name)
	}), nil
}

// nativeSettings allow PowerDNS's own replication, for zones of kind Master: the primary tells the secondaries that such a
// zone's metadata names, and secondaries listen. PowerDNS waits 10 s for a transfer to begin, too little for a million
// records on a busy machine.
var nativeSettings = map[string]string{
	"pdns-primary":     "only-notify=\n",
	"pdns-secondary-1": "allow-notify-from=127.0.0.0/8\naxfr-fetch-timeout=60\n",
	"pdns-secondary-2": "allow-notify-from=127.0.0.0/8\naxfr-fetch-timeout=60\n",
}

// leaveAlone keeps the product from distributing the zones of the other ways.
var leaveAlone = fmt.Sprintf(`
[zones]
exclude = [%q, %q]
`, suffixOf(nativeName), suffixOf(floorName))

func (b *bench) start(ctx context.Context) error {
	for name, settings := range nativeSettings {
		dir := filepath.Join(b.SystemDir(), "config", name, "pdns.d")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "native.conf"), []byte(settings), 0o600); err != nil {
			return err
		}
	}
	opts := system.Options{Dir: b.SystemDir(), FreePorts: true, Owner: os.Getpid()}
	if b.Keep {
		opts.Owner = 0
	}
	b.result = &Result{Began: time.Now().UTC().Truncate(time.Second)}
	b.say("starting the system in %s", b.SystemDir())
	var err error
	if b.sys, err = system.Up(ctx, opts); err != nil {
		return err
	}
	if err := b.connect(ctx); err != nil {
		return errors.Join(err, b.end(ctx))
	}
	return nil
}

func (b *bench) connect(ctx context.Context) error {
	var err error
	if b.env, err = b.sys.Env(); err != nil {
		return err
	}
	if b.proxy, b.direct, b.secondaries, err = client.Nameservers(b.env); err != nil {
		return err
	}
	if b.temporal, err = client.Temporal(b.env); err != nil {
		return err
	}
	b.all = b.ways()
	if err := b.sys.Reconfigure(ctx, system.RolePrimary, func(settings string) string { return settings + leaveAlone }); err != nil {
		return err
	}
	b.result.Machine, err = describeMachine()
	if err != nil {
		return err
	}
	b.result.Versions, err = b.versions(ctx)
	return err
}

// end takes the system down, also when ctx was ended by Ctrl-C.
func (b *bench) end(ctx context.Context) error {
	const timeout = time.Minute
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if b.temporal != nil {
		b.temporal.Close()
	}
	if err := b.sys.Down(ctx); err != nil || b.Keep {
		return err
	}
	return os.RemoveAll(b.SystemDir())
}

// SystemDir is the folder of the system. It must be new.
func (o Options) SystemDir() string { return filepath.Join(o.Dir, "system") }

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.Progress, "[%4.0f s] %s\n", time.Since(b.result.Began).Seconds(), fmt.Sprintf(format, args...))
}

// add takes rows into the result and shows them.
func (b *bench) add(rows ...Row) {
	for _, r := range rows {
		if b.Away > 0 {
			r = r.at(b.Away)
		}
		b.result.Rows = append(b.result.Rows, r)
		b.say("  %s", brief(r))
	}
}
