package transfer

import (
	"encoding/binary"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// The content encoding is one zstd stream (RFC 8878, with checksum) of
// records, each a uvarint length and then the record in uncompressed wire
// form. The SOA stands first and once; the others follow as AXFR brought them.

const (
	// window bounds the memory of both ends. Zones compress about as well
	// with it as with more: what repeats is near.
	window = 1 << 20
	// maxContent bounds what a content may unpack to, in octets: some 80
	// million records. It stops a few kilobytes of garbage that would unpack for hours.
	maxContent = 4 << 30
)

// Summary describes a zone's content.
type Summary struct {
	// Serial is the SOA's.
	Serial uint32
	// Digest is the hex SHA-384, see [pdns.Digester].
	Digest string
	// Records is the number of different records, the SOA counted once.
	Records int
	// Plain is how many records came that are not DNSSEC's own.
	Plain int
	// Signed says that there are RRSIG records, Expires when the first of
	// them ends.
	Signed  bool
	Expires time.Time
	// NSEC3 says that there is an NSEC3PARAM record.
	NSEC3 bool
	// Live says that there are ALIAS or LUA records, see [pdns.Version].
	Live bool
	// Size is the length of the content encoding in octets; zero where none
	// was written.
	Size int64
}

// summer gathers a Summary, record by record.
type summer struct {
	digest  *pdns.Digester
	serial  uint32
	plain   int
	signed  bool
	expires time.Time
	nsec3   bool
	live    bool
}

// PowerDNS's own types, of private use (RFC 6895 section 3.1).
const (
	typeALIAS = 65401
	typeLUA   = 65402
)

func newSummer() *summer { return &summer{digest: pdns.NewDigester()} }

func (s *summer) add(rec pdns.Record) {
	switch rec.Type {
	case dns.TypeSOA:
		s.serial = soaSerial(rec)
	case dns.TypeRRSIG:
		s.signed = true
		s.expires = pdns.FirstEnd(s.expires, rrsigExpiration(rec))
	case dns.TypeNSEC3PARAM:
		s.nsec3 = true
	case typeALIAS, typeLUA:
		s.live = true
	}
	if pdns.PlainRecord(rec.Type) {
		s.plain++
	}
	s.digest.AddRecord(rec)
}

func (s *summer) summary(size int64) (Summary, error) {
	digest, err := s.digest.Sum()
	if err != nil {
		return Summary{}, err
	}
	return Summary{
		Serial: s.serial, Digest: digest, Records: s.digest.Records(), Plain: s.plain,
		Signed: s.signed, Expires: s.expires, NSEC3: s.nsec3, Live: s.live, Size: size,
	}, nil
}

// rrsigExpiration returns the Signature Expiration field of an RRSIG, which
// stands 8 octets after the begin of its RDATA (RFC 4034 section 3.1); the zero
// time where there is none.
func rrsigExpiration(rec pdns.Record) time.Time {
	const at = 8
	if len(rec.Data) < at+4 {
		return time.Time{}
	}
	return pdns.ExpirationTime(binary.BigEndian.Uint32(rec.Data[at:]))
}

// soaSerial returns the serial of a SOA record, which stands 20 octets before
// the end of its RDATA (RFC 1035 section 3.3.13).
func soaSerial(rec pdns.Record) uint32 {
	if len(rec.Data) < 22 {
		return 0
	}
	return binary.BigEndian.Uint32(rec.Data[len(rec.Data)-20:])
}

// must is for what fails only when constants of this file are wrong.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
