package activities_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// interrupted runs a hook between what an export read and what it publishes.
type interrupted struct {
	activities.Publisher
	before func()
	after  error
}

func (i *interrupted) Publish(ctx context.Context, v pdns.Version, content io.Reader, revision uint64) (uint64, error) {
	if i.before != nil {
		i.before()
	}
	written, err := i.Publisher.Publish(ctx, v, content, revision)
	if err == nil && i.after != nil {
		return 0, i.after
	}
	return written, err
}

func TestAStalledExportDoesNotBringOldContentBack(t *testing.T) {
	h := newHosts(t)
	const zone = "stalled.example."
	makeZone(t, zone)
	set(t, zone, 10, "old")
	stalled := *h.primary
	stalled.Versions = &interrupted{Publisher: h.store, before: func() {
		set(t, zone, 11, "new")
		result, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
		require.NoError(t, err)
		require.Equal(t, activities.ExportPublished, result.Outcome)
	}}
	_, err := export(&stalled, activities.ExportZoneInput{Zone: zone})
	require.ErrorContains(t, err, "another version was published meanwhile")
	newest, _, err := h.store.Newest(t.Context(), zone)
	require.NoError(t, err)
	require.EqualValues(t, 11, newest.Serial)

	result, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	require.Equal(t, activities.ExportUnchanged, result.Outcome)
	require.Equal(t, newest.Version, result.Version.Version)
}

func TestAnExportWhoseWorkerDiesAfterPublishingStillReachesTheSecondaries(t *testing.T) {
	h := newHosts(t)
	const zone = "died.example."
	makeZone(t, zone)
	dying := *h.primary
	dying.Versions = &interrupted{Publisher: h.store, after: io.ErrUnexpectedEOF}
	_, err := export(&dying, activities.ExportZoneInput{Zone: zone})
	require.Error(t, err)
	result, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	require.Equal(t, activities.ExportUnchanged, result.Outcome)
	require.NotZero(t, result.Version.Version, "the newest version, though this export changed nothing")
	applied, err := apply(h.secondary, zone)
	require.NoError(t, err)
	require.Equal(t, result.Version.Version, applied.Version)
	requireTXT(t, h.secondary.DNSAddress, zone, "first")
}

func TestApplyFollowsTheVersionNotTheSerial(t *testing.T) {
	h := newHosts(t)
	const zone = "lower.example."
	makeZone(t, zone)
	for _, step := range []struct {
		serial uint32
		text   string
	}{{100, "high"}, {7, "lower"}, {7, "equal"}, {4_000_000_000, "above 2^31"}, {5, "wrapped"}} {
		set(t, zone, step.serial, step.text)
		exported, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
		require.NoError(t, err)
		require.Equal(t, activities.ExportPublished, exported.Outcome, step.text)
		applied, err := apply(h.secondary, zone)
		require.NoError(t, err)
		require.Equal(t, activities.AppliedNow, applied.Outcome)
		require.Equal(t, step.serial, applied.Serial)
		requireTXT(t, h.secondary.DNSAddress, zone, step.text)

		again, err := apply(h.secondary, zone)
		require.NoError(t, err)
		require.Equal(t, activities.AppliedCurrent, again.Outcome)
	}
}

func TestAnotherPrimarysNewerContentIsNotTakenBack(t *testing.T) {
	h := newHosts(t)
	const zone = "replicated.example."
	makeZone(t, zone)
	set(t, zone, 20, "new")
	_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)

	lagging := *h.primary
	lagging.ID, lagging.Peers = "primary-2", alone{others: []string{"primary-1"}}
	for _, old := range []struct {
		serial uint32
		taken  bool
	}{{19, true}, {20, true}, {21, false}} { // a higher serial may stem from before a backup was restored
		set(t, zone, old.serial, "what a lagging replica still holds")
		behind, err := export(&lagging, activities.ExportZoneInput{Zone: zone, Primary: "primary-2", Taken: old.taken})
		require.NoError(t, err)
		require.Equal(t, activities.ExportBehind, behind.Outcome)
		require.Equal(t, "primary-2", behind.Primary)
		require.Equal(t, "primary-1", behind.Version.Publisher, "the one to ask")
		require.EqualValues(t, 20, behind.Version.Serial)
	}
	taken, err := export(&lagging, activities.ExportZoneInput{Zone: zone, Primary: "primary-2", Taken: true})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, taken.Outcome, "it has just taken a change, and the serial is higher")

	set(t, zone, 5, "a restored backup, while primary-2 is away")
	overruled, err := export(h.primary, activities.ExportZoneInput{Zone: zone, Overrule: "primary-2"})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, overruled.Outcome)
}

func TestApplyNeverGoesBackToAnOlderBucket(t *testing.T) {
	h := newHosts(t)
	const zone = "restored.example."
	makeZone(t, zone)
	exported, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	ahead := pdns.AppliedFrom(exported.Version, time.Now())
	ahead.Version += 1_000_000
	require.NoError(t, h.secondary.Applied.Set(ahead))
	_, err = apply(h.secondary, zone)
	require.ErrorContains(t, err, "the bucket is younger")
	exported, err = export(h.primary, activities.ExportZoneInput{Zone: zone, Above: ahead.Version})
	require.NoError(t, err)
	require.Greater(t, exported.Version.Version, ahead.Version)
	applied, err := apply(h.secondary, zone)
	require.NoError(t, err)
	require.Equal(t, exported.Version.Version, applied.Version)
}

// olderBucket shows one zone as it was before, or fails to open contents.
type olderBucket struct {
	activities.Subscriber
	newest pdns.Version
}

func (b olderBucket) Fetch(ctx context.Context, zone string) (pdns.Version, []byte, error) {
	if b.newest.Version == 0 {
		newest, _, err := b.Subscriber.Fetch(ctx, zone)
		return newest, nil, err
	}
	return b.newest, nil, nil
}

func (b olderBucket) Open(context.Context, pdns.Version) (io.ReadCloser, error) {
	return nil, io.ErrUnexpectedEOF
}

// What is served was found wrong and could not be transferred. The zone does not go back all the same.
func TestADistrustedZoneNeverGoesBack(t *testing.T) {
	h := newHosts(t)
	const zone = "ahead.example."
	makeZone(t, zone)
	var published []pdns.Version
	for _, serial := range []uint32{5, 6} {
		set(t, zone, serial, "text")
		result, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
		require.NoError(t, err)
		published = append(published, result.Version)
	}
	_, err := apply(h.secondary, zone)
	require.NoError(t, err)

	h.secondary.Versions = olderBucket{Subscriber: h.store}
	_, err = run[activities.ZonesResult](h.secondary, h.secondary.ApplyZones, activities.ZonesInput{Zones: []string{zone}, Force: true})
	require.ErrorContains(t, err, io.ErrUnexpectedEOF.Error())
	h.secondary.Versions = olderBucket{h.store, published[0]}
	_, err = apply(h.secondary, zone)
	require.ErrorContains(t, err, "the bucket is younger")
	h.secondary.Versions = h.store
	follower := h.follow(t)
	follower.Published(pdns.Version{Zone: zone, Version: published[0].Version, Deleted: true}, nil, "")
	makeZone(t, "after.example.")
	_, err = export(h.primary, activities.ExportZoneInput{Zone: "after.example."})
	require.NoError(t, err)
	_, err = apply(h.secondary, "after.example.") // the tombstone had its turn long before
	require.NoError(t, err)
	h.serves(t, zone, 6)

	noted, _, err := h.secondary.Applied.Get(zone)
	require.NoError(t, err)
	require.True(t, noted.Distrusted)
	result, err := apply(h.secondary, zone)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedNow, result.Outcome, "it is transferred as soon as that can be")
	noted, _, err = h.secondary.Applied.Get(zone)
	require.NoError(t, err)
	require.True(t, noted.Stands(published[1].Version))
}

func TestForeignZonesStayUntouched(t *testing.T) {
	h := newHosts(t)
	const zone = "foreign.example."
	makeZone(t, zone)
	require.NoError(t, h.secondary.PowerDNS.CreateSecondaryZone(t.Context(), zone, "192.0.2.1:53", pdns.Account))
	_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	retrieving := &retrieving{SecondaryPowerDNS: h.secondary.PowerDNS}
	h.secondary.PowerDNS = retrieving
	for range 2 {
		applied, err := apply(h.secondary, zone)
		require.NoError(t, err)
		require.Equal(t, activities.AppliedForeign, applied.Outcome)
		require.Contains(t, applied.Reason, zone)
	}
	_, known, err := h.secondary.Applied.Get(zone)
	require.NoError(t, err)
	require.False(t, known)
	reconciled, err := run[activities.ReconcileZonesResult](h.secondary, h.secondary.ReconcileZones, activities.ReconcileZonesInput{})
	require.NoError(t, err)
	require.Equal(t, []string{zone}, reconciled.ForeignZones)

	call(t, http.MethodDelete, "/zones/"+zone, nil)
	_, err = export(h.primary, activities.ExportZoneInput{Zone: zone, Proxied: pdns.ProxiedDelete})
	require.NoError(t, err)
	applied, err := apply(h.secondary, zone)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedForeign, applied.Outcome)
	held, err := h.secondary.PowerDNS.Zone(t.Context(), zone)
	require.NoError(t, err)
	require.Equal(t, []string{"192.0.2.1"}, held.Masters)
	require.Zero(t, retrieving.count.Load(), "transfers from its own master")
}

// retrieving counts the transfers that PowerDNS is told to make.
type retrieving struct {
	activities.SecondaryPowerDNS
	count atomic.Int64
}

func (r *retrieving) RetrieveZone(ctx context.Context, zone string) error {
	r.count.Add(1)
	return r.SecondaryPowerDNS.RetrieveZone(ctx, zone)
}

func requireTXT(t *testing.T, server, name, want string) {
	t.Helper()
	answer, _, err := new(dns.Client).ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeTXT), server)
	require.NoError(t, err)
	require.Len(t, answer.Answer, 1)
	require.Equal(t, []string{want}, answer.Answer[0].(*dns.TXT).Txt)
}
