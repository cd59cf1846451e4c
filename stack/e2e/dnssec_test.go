package e2e

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// question is asked of a signed zone; the names are relative to it.
type question struct {
	name  string
	qtype uint16
	want  string
}

var questions = []question{
	{"", dns.TypeSOA, positive},
	{"", dns.TypeDNSKEY, positive},
	{"", dns.TypeMX, noData},
	{"www", dns.TypeA, positive},
	{"www", dns.TypeAAAA, noData},
	{"alias", dns.TypeA, positive},
	{"a.b.ent", dns.TypeTXT, positive},
	{"b.ent", dns.TypeTXT, noData}, // an empty non-terminal
	{"ent", dns.TypeA, noData},
	{"x.b.ent", dns.TypeA, nxDomain},
	{"some.wild", dns.TypeA, positive},
	{"some.deep.wild", dns.TypeA, positive},
	{"some.wild", dns.TypeAAAA, noData},
	{"*.wild", dns.TypeA, positive},
	{"nx", dns.TypeA, nxDomain},
	{"0nx", dns.TypeA, nxDomain},
	{"zzz", dns.TypeA, nxDomain},
	{"a.b.c.d.nx", dns.TypeA, nxDomain},
	{"sub", dns.TypeDS, noData},
	{"x.sub", dns.TypeA, insecure},
	{"safe", dns.TypeDS, positive},
	{"x.safe", dns.TypeA, secure},
}

// signable has something for every question.
func signable(zone string) []rrset {
	return []rrset{
		set("www."+zone, "A", "192.0.2.1", "192.0.2.2"),
		set("alias."+zone, "CNAME", "www."+zone),
		set("a.b.ent."+zone, "TXT", `"below two empty non-terminals"`),
		set("*.wild."+zone, "A", "192.0.2.3"),
		set("sub."+zone, "NS", "ns.example.net."),
		set("safe."+zone, "NS", "ns.example.net."),
		set("safe."+zone, "DS", "12345 13 2 "+strings.Repeat("0123456789ABCDEF", 4)),
	}
}

// sign makes a zone signed with one ECDSA key (PowerDNS's default), and NSEC3 where param is not empty.
func sign(t testing.TB, zone, nsec3param string, narrow bool) {
	t.Helper()
	primary.setSigning(t, zone, map[string]any{"dnssec": true, "nsec3param": nsec3param, "nsec3narrow": narrow})
}

// setSigning changes how a zone is signed. On SQLite, PowerDNS 4.7 answers 422 ("unable to secure", "to un-secure") when
// something else, such as an export, reads the zone at that moment; then it is asked again. What it had done until then
// it has not rectified, and does not when asked again.
func (n *nameserver) setSigning(t testing.TB, zone string, settings map[string]any) {
	t.Helper()
	put := func(path string, body any) error {
		r, err := n.do(t.Context(), http.MethodPut, path, body)
		if err != nil {
			return err
		}
		return wants(r.status/100 == 2, "change the signing of %s: %s", zone, r)
	}
	refused := false
	until(t, soon, func() error {
		err := put("/zones/"+zoneID(zone), settings)
		refused = refused || err != nil
		return err
	})
	if refused && settings["dnssec"] != false {
		until(t, soon, func() error { return put("/zones/"+zoneID(zone)+"/rectify", nil) })
	}
}

// Both kinds of denial, and a zone whose unsigned delegations are left out (opt-out): what the secondaries answer proves
// itself with the primary's keys, is what the primary answers, and no secondary holds a key.
func TestSignedAnswersVerify(t *testing.T) {
	parallel(t)
	for name, param := range map[string]string{"nsec": "", "nsec3": "1 0 0 -", "optout": "1 1 5 ab12"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone := name + ".signed.example."
			primary.create(t, zone, 2024010100, signable(zone)...)
			waitServed(t, zone, 2024010100)
			sign(t, zone, param, false) // at an equal serial
			waitSame(t, zone)
			waitStatus(t, zone, inSync)
			v, err := newValidator(t.Context(), zone)
			must(t, err)
			for _, n := range secondaries {
				holdsNoKey(t, n, zone)
				for _, q := range questions {
					checkAnswer(t, v, n, q)
				}
			}
		})
	}
}

// The validator itself is worth nothing unless it refuses an answer that lacks any one of its parts.
func TestValidatorRefuses(t *testing.T) {
	parallel(t)
	for name, param := range map[string]string{"nsec": "", "nsec3": "1 0 0 -"} {
		zone := name + ".refuse.example."
		primary.create(t, zone, 1, signable(zone)...)
		sign(t, zone, param, false)
		waitSame(t, zone)
		v, err := newValidator(t.Context(), zone)
		must(t, err)
		for _, q := range []question{{"a.b.c.d.nx", dns.TypeA, nxDomain}, {"www", dns.TypeAAAA, noData}, {"some.wild", dns.TypeA, positive}} {
			in, err := secondaries[0].ask(t.Context(), q.name+"."+zone, q.qtype, true)
			must(t, err)
			if len(in.Ns) == 0 {
				t.Fatalf("%s: no authority section", q.name)
			}
			needed := 0
			for i := range in.Ns {
				cut := in.Copy()
				cut.Ns = slices.Delete(cut.Ns, i, i+1)
				if _, err := v.check(cut, q.name+"."+zone, q.qtype); err != nil {
					needed++
				}
			}
			// A record may serve two proofs, or a signature two records, but what is left must never be nothing.
			if needed < 2 {
				t.Errorf("%s %s: only %d of %d records of the authority section were missed\n%s", zone, q.name, needed, len(in.Ns), in)
			}
			forged := in.Copy()
			for _, rr := range append(forged.Answer, forged.Ns...) {
				rr.Header().Ttl++
				if sig, ok := rr.(*dns.RRSIG); ok {
					sig.OrigTtl++
				}
			}
			if _, err := v.check(forged, q.name+"."+zone, q.qtype); err == nil {
				t.Errorf("%s %s: a forged answer passed", zone, q.name)
			}
		}
	}
}

// A zone's keys and kind of denial change without a change of the serial; the secondaries follow each time.
func TestSigningComesAndGoes(t *testing.T) {
	parallel(t)
	const zone = "keys.signed.example."
	primary.create(t, zone, 77, signable(zone)...)
	steps := []struct {
		name string
		do   func()
	}{
		{"signed with NSEC", func() { sign(t, zone, "", false) }},
		{"NSEC3", func() { sign(t, zone, "1 0 0 -", false) }},
		{"another key", func() {
			primary.call(t, http.MethodPost, "/zones/"+zone+"/cryptokeys", map[string]any{"keytype": "zsk", "active": true, "algorithm": "ecdsa256"})
		}},
		{"NSEC again", func() {
			primary.setSigning(t, zone, map[string]any{"nsec3param": ""})
		}},
		{"edited serial", func() {
			primary.setSigning(t, zone, map[string]any{"soa_edit": "INCREMENT-WEEKS"})
		}},
		{"unsigned", func() { primary.setSigning(t, zone, map[string]any{"dnssec": false}) }},
	}
	for _, step := range steps {
		step.do()
		until(t, soon, func() error {
			if err := sameContent(zone); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			return nil
		})
		settlePrimary(t, zone, step.name != "unsigned")
		until(t, soon, func() error { return sameAnswers(t, zone) })
		for _, n := range secondaries {
			holdsNoKey(t, n, zone)
		}
	}
}

// settlePrimary has the primary itself answer as it hands out the zone. It answers as before for as long as its packet cache
// holds an answer (PowerDNS 4.7, 20 s), and wrongly for good where it rectified the zone by what it had cached of its signing:
// a question had that read while it changed. Call it after an AXFR of the zone, which drops that.
func settlePrimary(t testing.TB, zone string, signed bool) {
	t.Helper()
	if signed {
		direct.call(t, http.MethodPut, "/zones/"+zone+"/rectify", nil)
	}
	direct.call(t, http.MethodPut, "/cache/flush?domain="+zone, nil)
}

// A zone is signed, changes its kind of denial and is unsigned while clients ask for it all the time: PowerDNS caches
// answers, and for 60 s what it knows of a zone's signing, and refills these caches from the old state while it stores the
// new one. Once the sync says in sync, the answers are right all the same.
func TestSigningUnderQueries(t *testing.T) {
	parallel(t)
	const zone = "busy.signed.example."
	primary.create(t, zone, 1, signable(zone)...)
	waitServed(t, zone, 1)
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for _, n := range secondaries {
		clients.Go(func() {
			for i := 0; busyTick(ctx); i++ {
				q := questions[i%len(questions)]
				_, _ = n.ask(ctx, strings.TrimPrefix(q.name+"."+zone, "."), q.qtype, true) // only load
			}
		})
	}
	defer clients.Wait()
	defer stop()
	for i := range 12 {
		serial := uint32(i + 2)
		param := []string{"", "1 0 0 -"}[i%2]
		primary.patch(t, zone, soa(zone, serial))
		if i%3 == 2 {
			primary.setSigning(t, zone, map[string]any{"dnssec": false})
		} else {
			sign(t, zone, param, false)
		}
		waitSame(t, zone)
		settlePrimary(t, zone, i%3 != 2)
		waitStatus(t, zone, func(s syncStatus) error {
			return wants(s.Serial == serial && inSync(s) == nil && s.Phase != "exporting", "want serial %d in sync", serial)
		})
		began := time.Now()
		var wrong error
		until(t, soon, func() error {
			err := sameAnswers(t, zone)
			wrong = cmp.Or(wrong, err)
			return err
		})
		// An answer that was under way is cached past the first flush; another one follows a second later.
		if took := time.Since(began); wrong != nil && took > 5*time.Second {
			t.Errorf("change %d: answers were wrong for %s after it was in sync: %v", i, took.Round(time.Millisecond), wrong)
		} else if wrong != nil {
			t.Logf("change %d: an answer was wrong for %s", i, took.Round(time.Millisecond))
		}
	}
}

// PowerDNS cannot hand out a zone in NSEC3 narrow mode. That is said with the zone's name and the remedy, other zones go
// on, the secondaries keep what they have, and once it is mended the zone goes on too.
func TestNSEC3Narrow(t *testing.T) {
	parallel(t)
	const zone, other = "narrow.signed.example.", "other.signed.example."
	primary.create(t, zone, 1, signable(zone)...)
	waitServed(t, zone, 1)
	sign(t, zone, "1 0 0 -", true)
	s := waitStatus(t, zone, func(s syncStatus) error { return wants(s.Error != "", "want an error") })
	for _, word := range []string{zone, "narrow", "set-nsec3"} {
		if !strings.Contains(s.Error, word) {
			t.Errorf("the error does not name %q: %s", word, s.Error)
		}
	}
	primary.create(t, other, 1)
	waitServed(t, other, 1)
	waitServed(t, zone, 1)

	sign(t, zone, "1 0 0 -", false)
	waitSame(t, zone)
	waitStatus(t, zone, inSync)
}

func inSync(s syncStatus) error {
	return wants(s.Outcome == "in-sync" && s.Error == "", "want it in sync")
}

func holdsNoKey(t testing.TB, n *nameserver, zone string) {
	t.Helper()
	if keys := n.call(t, http.MethodGet, "/zones/"+zoneID(zone)+"/cryptokeys", nil); strings.TrimSpace(string(keys.body)) != "[]" {
		t.Errorf("%s holds keys of %s: %s", n.name, zone, keys.body)
	}
}

// checkAnswer asks n and wants an answer that proves itself and says the same as the primary's.
func checkAnswer(t testing.TB, v *validator, n *nameserver, q question) {
	t.Helper()
	name := strings.TrimPrefix(q.name+"."+v.zone, ".")
	in, err := n.ask(t.Context(), name, q.qtype, true)
	must(t, err)
	got, err := v.check(in, name, q.qtype)
	if err != nil || got != q.want {
		t.Errorf("%s %s %s: %q, want %q (%v)\n%s", n.name, name, dns.TypeToString[q.qtype], got, q.want, err, in)
	}
	must(t, sameAnswer(t, n, name, q.qtype))
}

// sameAnswers asks all questions of both secondaries and the primary.
func sameAnswers(t testing.TB, zone string) error {
	for _, n := range secondaries {
		for _, q := range questions {
			if err := sameAnswer(t, n, strings.TrimPrefix(q.name+"."+zone, "."), q.qtype); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameAnswer compares what n and the primary answer, but for the signatures' octets and the records' order.
func sameAnswer(t testing.TB, n *nameserver, name string, qtype uint16) error {
	want, err := primary.ask(t.Context(), name, qtype, true)
	if err != nil {
		return err
	}
	got, err := n.ask(t.Context(), name, qtype, true)
	if err != nil {
		return err
	}
	if w, g := essence(want), essence(got); w != g {
		return fmt.Errorf("%s answers %s %s with\n%s\nthe primary with\n%s", n.name, name, dns.TypeToString[qtype], g, w)
	}
	return nil
}

func essence(m *dns.Msg) string {
	var out strings.Builder
	fmt.Fprintln(&out, dns.RcodeToString[m.Rcode], m.Authoritative)
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		var lines []string
		for _, rr := range section {
			if sig, ok := rr.(*dns.RRSIG); ok {
				sig.Signature = ""
			}
			lines = append(lines, rr.String())
		}
		slices.Sort(lines)
		fmt.Fprintln(&out, strings.Join(lines, "\n"))
	}
	return out.String()
}
