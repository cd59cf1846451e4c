package activities_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
)

// Everything that can be edited by hand at an equal serial, on zones of every
// kind of signing: found, and mended by a forced sync.
func TestContentEditedByHand(t *testing.T) {
	onEach(t, func(t *testing.T, i *inspected) {
		params := map[string]string{"nsec.": "", "nsec3.": "1 0 0 -", "optout.": "1 1 5 ab12"}
		names := []string{"nsec.", "nsec3.", "optout.", "plain.", "presigned."}
		edits := []struct {
			label string
			edit  func(zone string)
		}{
			{"ttl", func(zone string) { i.edit(t, zone, "www."+zone, "A", 5, "192.0.2.1") }},
			{"lost", func(zone string) { i.edit(t, zone, "www."+zone, "A", 60) }},
			{"other", func(zone string) { i.edit(t, zone, "www."+zone, "A", 60, "192.0.2.9") }},
			{"more", func(zone string) { i.edit(t, zone, "more."+zone, "TXT", 60, `"not from the primary"`) }},
			{"not", func(string) {}},
		}
		var zones, edited []string
		for _, edit := range edits {
			for _, name := range names {
				zone := edit.label + "." + name + "content.example."
				zones = append(zones, zone)
				if edit.label != "not" {
					edited = append(edited, zone)
				}
				if name == "presigned." {
					loadPresigned(t, zone, pdnstest.NewSigner(t, zone).Sign(t, presignedText, time.Now().Add(-time.Hour), time.Now().AddDate(0, 0, 20)))
					continue
				}
				makeZone(t, zone)
				call(t, http.MethodPatch, "/zones/"+zone, map[string]any{"rrsets": []any{rrset("www."+zone, "A", "192.0.2.1")}})
				if param, signed := params[name]; signed {
					call(t, http.MethodPut, "/zones/"+zone, map[string]any{"dnssec": true, "nsec3param": param})
				}
			}
		}
		i.sync(t, false, zones...)
		require.Equal(t, map[string]int{"same": len(zones)}, i.compareContent(t, i.surveyContent(t)).States)
		for _, edit := range edits {
			for _, name := range names {
				edit.edit(edit.label + "." + name + "content.example.")
			}
		}
		survey := i.surveyContent(t)
		require.Equal(t, map[string]int{activities.SurveyedCurrent: len(zones)}, survey.Outcomes, survey.Reason)
		compared := i.compareContent(t, survey)
		require.Equal(t, map[string]int{"same": len(names), "different": len(edited)}, compared.States)
		require.ElementsMatch(t, edited, compared.Wrong)
		require.Contains(t, compared.Reason, "content.example.")

		i.sync(t, false, compared.Wrong...)
		require.NotEmpty(t, i.compareContent(t, survey).Wrong, "a sync that goes by serials mends nothing")
		i.sync(t, true, compared.Wrong...)
		require.Equal(t, map[string]int{"same": len(zones)}, i.compareContent(t, survey).States)
	})
}

// A change of the primary's database past its API, at an equal serial; a zone
// that the secondary lacks, one that is not ours, and one that changes meanwhile.
func TestContentOfOtherZones(t *testing.T) {
	onEach(t, func(t *testing.T, i *inspected) {
		zones := []string{"changes.content.example.", "foreign.content.example.", "lacks.content.example.", "past.content.example."}
		for _, zone := range zones {
			makeZone(t, zone)
		}
		require.NoError(t, i.powerdns().CreateSecondaryZone(context.Background(), zones[1], "192.0.2.1", "somebody"))
		i.sync(t, false, zones...)
		require.NoError(t, i.powerdns().DeleteZone(context.Background(), zones[2]))
		pdnsutil(t, "add-record", zones[3], "past", "TXT", "60", `"the API"`)
		survey := i.surveyContent(t)
		require.Equal(t, map[string]int{activities.SurveyedCurrent: 3, activities.SurveyedPublished: 1}, survey.Outcomes, survey.Reason)
		set(t, zones[0], 8, "changed since the list was made")
		i.sync(t, false, zones[0])
		compared := i.compareContent(t, survey)
		require.Equal(t, map[string]int{
			activities.ComparedChanging: 1, activities.ComparedForeign: 1, "not served": 1, "different": 1,
		}, compared.States, compared.Reason)
		require.Equal(t, zones[2:], compared.Wrong)
		i.sync(t, true, compared.Wrong...)
		require.Equal(t, map[string]int{"same": 3, activities.ComparedForeign: 1}, i.compareContent(t, i.surveyContent(t)).States)
	})
}

// What another primary published is not published over, since this one's
// database may lag: a sync is to ask that primary. Meanwhile the published content
// is what counts.
func TestContentOfAnotherPrimary(t *testing.T) {
	i := newInspected(t, 0)
	const zone = "another.content.example."
	makeZone(t, zone)
	i.sync(t, false, zone)
	i.primary.ID = "primary-2"
	pdnsutil(t, "add-record", zone, "past", "TXT", "60", `"the API"`)
	survey := i.surveyContent(t)
	require.Equal(t, map[string]int{activities.ExportBehind: 1}, survey.Outcomes, survey.Reason)
	require.Equal(t, []string{zone}, survey.Contested)
	require.Equal(t, map[string]int{"same": 1}, i.compareContent(t, survey).States)
}

// The zones are gone through in parts, each zone once.
func TestSurveyInParts(t *testing.T) {
	i := newInspected(t, 0)
	zones := []string{"a.parts.example.", "b.parts.example.", "gone.parts.example."}
	for _, zone := range zones {
		makeZone(t, zone)
	}
	i.sync(t, false, zones...)
	call(t, http.MethodDelete, "/zones/"+zones[2], nil)
	survey := func(in activities.SurveyInput) activities.SurveyResult {
		result, err := run[activities.SurveyResult](i.surveyor, i.surveyor.SurveyContent, in)
		require.NoError(t, err)
		return result
	}
	first := survey(activities.SurveyInput{})
	require.Equal(t, 2, first.Zones)
	require.Equal(t, map[string]int{activities.SurveyedCurrent: 2, activities.ExportGone: 1}, first.Outcomes)
	require.Empty(t, first.After)
	rest := survey(activities.SurveyInput{After: zones[0]})
	require.Equal(t, 1, rest.Zones)
	require.Empty(t, survey(activities.SurveyInput{After: zones[1]}).List, "nothing to compare")
	require.Equal(t, 1, survey(activities.SurveyInput{Zones: []string{zones[1], "unknown.example."}}).Zones)
}

// A zone that was found wrong stays wrong until it is transferred, though what is held now says otherwise.
func TestADistrustedZoneIsOutdated(t *testing.T) {
	i := newInspected(t, 0)
	const zone = "distrusted.example."
	makeZone(t, zone)
	i.sync(t, false, zone)
	survey := i.surveyContent(t)
	require.Empty(t, i.compareContent(t, survey).Wrong)
	distrust(t, i.hosts, zone)
	found := i.compareContent(t, survey)
	require.Equal(t, []string{zone}, found.Wrong)
	i.sync(t, false, zone)
	require.Empty(t, i.compareContent(t, survey).Wrong)
}
