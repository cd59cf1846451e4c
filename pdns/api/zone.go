package api

import (
	"net/netip"
	"strings"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// Zone is what PowerDNS says about a zone, without its records.
type Zone struct {
	// Name is canonical, see [pdns.CanonicalZone].
	Name string
	// Kind is "Native", "Master" or "Slave" up to PowerDNS 5.0, which take
	// "Primary" and "Secondary" as input; later ones may answer with these too.
	Kind string
	// Account is the free text that marks whose zone it is.
	Account string
	// Masters are the addresses a secondary zone is transferred from, as
	// PowerDNS prints them: without the port where it is 53.
	Masters []string
	// Serial is the SOA's in the database, EditedSerial the one that is
	// served (SOA-EDIT). EditedSerial is missing (zero) in [Client.Zones].
	Serial, EditedSerial uint32
	// DNSSEC says that the zone has keys or is presigned. False in [Client.Zones].
	DNSSEC bool
	// Presigned says that the signatures come with the content (since
	// 4.7 an answer need not carry it; then it is false).
	Presigned bool
	// LastCheck is when PowerDNS last compared the zone with its master, in
	// seconds since the Unix epoch, zero when never.
	LastCheck int64
	// NSEC3Param is empty for NSEC. NSEC3Narrow zones cannot be transferred.
	NSEC3Param  string
	NSEC3Narrow bool
	// Catalog is the catalog zone that lists this one, empty for none.
	Catalog string
	// SOAEditAPI says how each change through the API moves the serial.
	SOAEditAPI string
}

// IsSecondary reports whether PowerDNS takes the zone's content from a master.
func (z Zone) IsSecondary() bool {
	return strings.EqualFold(z.Kind, "Slave") || strings.EqualFold(z.Kind, "Secondary")
}

// OwnedBy reports whether the zone is ours, so that it may be changed or
// deleted: a secondary zone that carries account and has master (IP or
// IP:port) as its only one. An empty account or master owns nothing.
func (z Zone) OwnedBy(account, master string) bool {
	if account == "" || z.Account != account || !z.IsSecondary() || len(z.Masters) != 1 {
		return false
	}
	want, ok := address(master)
	if !ok {
		return false
	}
	have, ok := address(z.Masters[0])
	return ok && have == want
}

// address reads an IP, with a port or without (then 53).
func address(s string) (netip.AddrPort, bool) {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), true
	}
	ip, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip.Unmap(), 53), true
}

// ServerInfo describes the PowerDNS behind the API.
type ServerInfo struct {
	Version string `json:"version"`
}

// zoneJSON is a zone in the API's answers, 4.7 to 5.0.
type zoneJSON struct {
	Name         string   `json:"name"`
	Kind         string   `json:"kind"`
	Account      string   `json:"account"`
	Masters      []string `json:"masters"`
	Serial       uint32   `json:"serial"`
	EditedSerial uint32   `json:"edited_serial"`
	DNSSEC       bool     `json:"dnssec"`
	Presigned    bool     `json:"presigned"`
	LastCheck    int64    `json:"last_check"`
	NSEC3Param   string   `json:"nsec3param"`
	NSEC3Narrow  bool     `json:"nsec3narrow"`
	Catalog      string   `json:"catalog"`
	SOAEditAPI   string   `json:"soa_edit_api"`
}

func (z zoneJSON) zone() (Zone, error) {
	name, err := pdns.CanonicalZone(z.Name)
	if err != nil {
		return Zone{}, err
	}
	return Zone{
		Name: name, Kind: z.Kind, Account: z.Account, Masters: z.Masters,
		Serial: z.Serial, EditedSerial: z.EditedSerial, DNSSEC: z.DNSSEC, Presigned: z.Presigned,
		LastCheck: z.LastCheck, NSEC3Param: z.NSEC3Param, NSEC3Narrow: z.NSEC3Narrow, Catalog: z.Catalog,
		SOAEditAPI: z.SOAEditAPI,
	}, nil
}

// zoneID returns the form in which a zone stands in the API's paths: every
// octet but letters, digits, '.' and '-' as =XX, in upper-case hex (4.7 answers
// 400 to lower case), the root as =2E.
func zoneID(zone string) string {
	if zone == "." {
		return "=2E"
	}
	const hex = "0123456789ABCDEF"
	var id strings.Builder
	for _, c := range []byte(zone) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-':
			id.WriteByte(c)
		default:
			id.Write([]byte{'=', hex[c>>4], hex[c&15]})
		}
	}
	return id.String()
}
