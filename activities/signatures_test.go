package activities_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
)

const presignedText = "@ 60 IN SOA ns.example. a.example. 7 1800 900 604800 60\n@ 60 IN NS ns.example.\nwww 60 IN A 192.0.2.1\ntxt 60 IN TXT x\n"

func day(month time.Month, day int) time.Time {
	return time.Date(2020, month, day, 12, 0, 0, 0, time.UTC)
}

// A zone that somebody else signs, years ago, with clocks of that time: as long
// as the primary has no better signatures it is reported and left alone; once it
// has, at the same serial, the secondary is found wrong until it has these too.
func TestSignaturesNearTheirEnd(t *testing.T) {
	onEach(t, func(t *testing.T, i *inspected) {
		const zone = "ending.example."
		signer := pdnstest.NewSigner(t, zone)
		loadPresigned(t, zone, signer.Sign(t, presignedText, day(5, 1), day(5, 22)))
		i.sync(t, false, zone)

		i.at = day(5, 10)
		survey := i.surveySignatures(t)
		require.Equal(t, map[string]int{activities.SurveyedCurrent: 1}, survey.Outcomes, survey.Reason)
		compared := i.compareSignatures(t, survey)
		require.Equal(t, map[string]int{string(pdns.SignaturesFresh): 1}, compared.States)
		require.Equal(t, day(5, 22), compared.Expires)
		require.Empty(t, compared.Wrong)

		i.at = day(5, 20)
		survey = i.surveySignatures(t)
		require.Equal(t, map[string]int{activities.SurveyedUnrenewable: 1}, survey.Outcomes)
		require.Equal(t, []string{zone}, survey.Unrenewable)
		require.Empty(t, i.compareSignatures(t, survey).Wrong, "no sync can help")

		loadPresigned(t, zone, signer.Sign(t, presignedText, day(5, 15), day(6, 5)))
		survey = i.surveySignatures(t)
		require.Equal(t, map[string]int{activities.SurveyedPublished: 1}, survey.Outcomes)
		compared = i.compareSignatures(t, survey)
		require.Equal(t, map[string]int{string(pdns.SignaturesExpiring): 1}, compared.States)
		require.Equal(t, []string{zone}, compared.Wrong)
		require.Contains(t, compared.Reason, zone)

		i.sync(t, true, compared.Wrong...)
		survey = i.surveySignatures(t, zone)
		compared = i.compareSignatures(t, survey)
		require.Equal(t, map[string]int{string(pdns.SignaturesFresh): 1}, compared.States)
		require.Equal(t, day(6, 5), compared.Expires)
		outside := i.askOutside(t, survey, i.secondary.DNSAddress)
		require.Equal(t, map[string]int{string(pdns.SignaturesFresh): 1}, outside.States, outside.Reason)
	})
}

// One signature inside the zone ends soon, those at its top do not: the published
// content tells.
func TestSignatureInsideTheZone(t *testing.T) {
	i := newInspected(t, 0)
	const zone = "inside.example."
	signer := pdnstest.NewSigner(t, zone)
	top, inside := signer.Sign(t, presignedText, day(5, 1), day(6, 30)), signer.Sign(t, presignedText, day(5, 1), day(5, 22))
	loadPresigned(t, zone, mix(top, inside, "TXT"))
	i.sync(t, false, zone)
	i.at = day(5, 20)
	survey := i.surveySignatures(t)
	require.Equal(t, []string{zone}, survey.Unrenewable)
	outside := i.askOutside(t, survey, i.secondary.DNSAddress)
	require.Equal(t, map[string]int{string(pdns.SignaturesFresh): 1}, outside.States, "the primary's end as soon: %s", outside.Reason)
	require.Equal(t, day(5, 22), outside.Expires)

	loadPresigned(t, zone, top) // renewed, at the same serial
	survey = i.surveySignatures(t)
	require.Equal(t, map[string]int{activities.SurveyedPublished: 1}, survey.Outcomes)
	compared := i.compareSignatures(t, survey)
	require.Equal(t, map[string]int{activities.ComparedOutdated: 1}, compared.States)
	require.Equal(t, []string{zone}, compared.Wrong)
	outside = i.askOutside(t, survey, i.secondary.DNSAddress)
	require.Equal(t, map[string]int{string(pdns.SignaturesExpiring): 1}, outside.States, outside.Reason)
	require.Equal(t, []string{zone}, outside.Wrong)
	require.Contains(t, outside.Reason, "txt."+zone)
}

// A week's roll: the old signatures are good for another week, so new ones are
// left to the scan for some hours, and then they are different.
func TestSignaturesRolling(t *testing.T) {
	i := newInspected(t, 0)
	const zone = "rolling.example."
	roll := pdns.LastSignatureRoll(day(5, 20))
	week := 7 * 24 * time.Hour
	signer := pdnstest.NewSigner(t, zone)
	loadPresigned(t, zone, signer.Sign(t, presignedText, roll.Add(-2*week), roll.Add(week)))
	i.sync(t, false, zone)
	loadPresigned(t, zone, signer.Sign(t, presignedText, roll.Add(-week), roll.Add(2*week)))
	for after, want := range map[time.Duration]pdns.SignatureState{time.Hour: pdns.SignaturesRolling, 7 * time.Hour: pdns.SignaturesDifferent} {
		i.at = roll.Add(after)
		compared := i.compareSignatures(t, i.surveySignatures(t))
		require.Equal(t, map[string]int{string(want): 1}, compared.States, "%s after the roll", after)
		require.Equal(t, want.Fault(), len(compared.Wrong) == 1)
	}
}

// Keys that come and go past the API, at an equal serial, on zones that PowerDNS
// signs itself, with each kind of denial.
func TestSignaturesOfOtherKeys(t *testing.T) {
	onEach(t, func(t *testing.T, i *inspected) {
		zones := []string{"nsec.keys.example.", "nsec3.keys.example.", "optout.keys.example.", "unsigned.keys.example."}
		for n, param := range []string{"", "1 0 0 -", "1 1 5 ab12"} {
			makeZone(t, zones[n])
			call(t, "PUT", "/zones/"+zones[n], map[string]any{"dnssec": true, "nsec3param": param})
		}
		makeZone(t, zones[3])
		i.sync(t, false, zones...)
		survey := i.surveySignatures(t)
		require.Equal(t, map[string]int{activities.SurveyedCurrent: 3}, survey.Outcomes, survey.Reason)
		require.Equal(t, map[string]int{string(pdns.SignaturesFresh): 3}, i.compareSignatures(t, survey).States)
		outside := i.askOutside(t, survey, i.secondary.DNSAddress, "127.0.0.1:1")
		require.Equal(t, map[string]int{string(pdns.SignaturesFresh): 3, string(pdns.ServedSilent): 3}, outside.States, outside.Reason)

		for n, zone := range zones[:3] { // that of the last one signs nothing yet
			call(t, "POST", "/zones/"+zone+"/cryptokeys", map[string]any{"keytype": "csk", "active": n < 2, "published": true, "algorithm": "rsasha256", "bits": 2048})
		}
		call(t, "PUT", "/zones/"+zones[0], map[string]any{"dnssec": false})
		compared := i.compareSignatures(t, i.surveySignatures(t))
		require.Equal(t, map[string]int{string(pdns.SignaturesDifferent): 3}, compared.States)
		require.Equal(t, zones[:3], compared.Wrong)
		i.sync(t, true, compared.Wrong...)
		survey = i.surveySignatures(t)
		require.Equal(t, map[string]int{string(pdns.SignaturesFresh): 2}, i.compareSignatures(t, survey).States)
		outside = i.askOutside(t, survey, i.secondary.DNSAddress)
		require.Equal(t, map[string]int{string(pdns.SignaturesFresh): 2}, outside.States, outside.Reason)
	})
}

// A secondary has no keys to sign what ALIAS and LUA records become when they are asked for.
func TestSignedZonesWithRecordsThatSecondariesCannotAnswer(t *testing.T) {
	onEach(t, func(t *testing.T, i *inspected) {
		zones := map[string]string{"alias.live.example.": "ALIAS", "lua.live.example.": "LUA", "plain.live.example.": "A", "unsigned.live.example.": "ALIAS"}
		contents := map[string]string{"ALIAS": "www.example.net.", "LUA": `A "'192.0.2.1'"`, "A": "192.0.2.1"}
		for zone, kind := range zones {
			makeZone(t, zone, map[string]any{"rrsets": []any{rrset("www."+zone, kind, contents[kind])}, "dnssec": zone != "unsigned.live.example."})
		}
		i.sync(t, false, slices.Collect(maps.Keys(zones))...)
		survey := i.surveySignatures(t)
		require.Equal(t, map[string]int{activities.SurveyedCurrent: 1, activities.SurveyedUnanswerable: 2}, survey.Outcomes, survey.Reason)
		require.Equal(t, []string{"alias.live.example.", "lua.live.example."}, survey.Unanswerable)
		require.Equal(t, map[string]int{string(pdns.SignaturesFresh): 3}, i.compareSignatures(t, survey).States, "they are compared as others are")
	})
}

// A record edited by hand on the secondary keeps the signature of what it was.
func TestSignaturesThatDoNotVerify(t *testing.T) {
	onEach(t, func(t *testing.T, i *inspected) {
		const zone = "bogus.example."
		makeZone(t, zone)
		call(t, "PUT", "/zones/"+zone, map[string]any{"dnssec": true})
		i.sync(t, false, zone)
		i.edit(t, zone, zone, "NS", 3600, "elsewhere.example.")
		survey := i.surveySignatures(t)
		require.Empty(t, i.compareSignatures(t, survey).Wrong, "the signatures themselves are as they were")
		outside := i.askOutside(t, survey, i.secondary.DNSAddress)
		require.Equal(t, map[string]int{string(pdns.SignaturesBogus): 1}, outside.States)
		require.Equal(t, []string{zone}, outside.Wrong)
		require.Contains(t, outside.Reason, "signature of "+zone+" NS")
		i.sync(t, true, zone)
		outside = i.askOutside(t, survey, i.secondary.DNSAddress)
		require.Equal(t, map[string]int{string(pdns.SignaturesFresh): 1}, outside.States, outside.Reason)
	})
}
