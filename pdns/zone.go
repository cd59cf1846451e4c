package pdns

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// maxNameLen is the longest name in wire form, in octets (RFC 1035 section 2.3.4).
const maxNameLen = 255

// CanonicalZone returns the one spelling of a zone name that is used as key
// everywhere: lower case (RFC 4343), final dot, and escapes as miekg/dns
// prints them (`\.` for a dot inside a label, `\DDD` for what is not printable
// ASCII). The final dot may be missing from name; "." is the root.
//
// The error says what is wrong: an empty label, a label over 63 octets, a
// name over 255 octets, a bad escape, or a character that must be escaped.
// Names with characters outside ASCII must come as A-labels ("xn--…").
func CanonicalZone(name string) (string, error) {
	wire, err := packName(name)
	if err != nil {
		return "", fmt.Errorf("zone name %q: %w", abbreviate(name), err)
	}
	if string(wire) == "\x01.\x00" {
		// Its key would be the root's, and no registry delegates it.
		return "", fmt.Errorf("zone name %q: a single label that is a dot cannot be told from the root", name)
	}
	canonical, _, err := dns.UnpackDomainName(wire, 0)
	if err != nil {
		return "", fmt.Errorf("zone name %q: %w", abbreviate(name), err)
	}
	return dns.CanonicalName(canonical), nil
}

// ZoneKey returns the key under which zone, a canonical name, stands in a
// NATS key-value bucket: without the final dot, a-z 0-9 - _ and the dots
// between labels as they are, every other octet =XX in upper-case hex, the
// root =2E. For what is no zone name it returns "", which NATS refuses as key.
func ZoneKey(zone string) string {
	wire, err := packName(zone)
	if err != nil {
		return ""
	}
	if len(wire) == 1 {
		return "=2E"
	}
	var key strings.Builder
	for off := 0; wire[off] != 0; off += 1 + int(wire[off]) {
		if off > 0 {
			key.WriteByte('.')
		}
		for _, c := range wire[off+1 : off+1+int(wire[off])] {
			if c = lower(c); plainInKey(c) {
				key.WriteByte(c)
			} else {
				fmt.Fprintf(&key, "=%02X", c)
			}
		}
	}
	return key.String()
}

// ZoneFromKey is the inverse of [ZoneKey]. It accepts only what ZoneKey
// makes, so that two keys never stand for one zone.
func ZoneFromKey(key string) (string, error) {
	var name strings.Builder
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case c == '.' || plainInKey(c):
			name.WriteByte(c)
		case c == '=' && i+2 < len(key):
			octet, ok := hexOctet(key[i+1], key[i+2])
			if !ok {
				return "", fmt.Errorf("zone key %q: %q is no octet in upper-case hex", key, key[i:i+3])
			}
			fmt.Fprintf(&name, `\%03d`, octet)
			i += 2
		default:
			return "", fmt.Errorf("zone key %q: %q cannot stand there", key, c)
		}
	}
	if key == "=2E" {
		return ".", nil
	}
	zone, err := CanonicalZone(name.String())
	if err != nil {
		return "", fmt.Errorf("zone key %q: %w", key, err)
	}
	if ZoneKey(zone) != key {
		return "", fmt.Errorf("zone key %q is not how zone %s is written, which is %q", key, zone, ZoneKey(zone))
	}
	return zone, nil
}

// packName checks a name in presentation form and returns its wire form. The
// checks come before the library's, which reports every fault as "bad rdata"
// and takes blanks and escapes over 255 as they come.
func packName(name string) ([]byte, error) {
	if name == "" {
		return nil, errors.New("is empty; the root is written \".\"")
	}
	if name == "." {
		return []byte{0}, nil
	}
	if err := checkLabels(name); err != nil {
		return nil, err
	}
	// The buffer is one octet longer than any name, since the library wants room.
	buf := make([]byte, maxNameLen+1)
	end, err := dns.PackDomainName(dns.Fqdn(name), buf, 0, nil, false)
	if errors.Is(err, dns.ErrBuf) || end > maxNameLen {
		return nil, fmt.Errorf("is longer than %d octets", maxNameLen)
	}
	if err != nil {
		return nil, err
	}
	return buf[:end], nil
}

// checkLabels walks over the characters and escapes of a name, label by label.
func checkLabels(name string) error {
	label := 0
	for i := 0; i < len(name); {
		if name[i] == '.' {
			if label == 0 {
				return errors.New("has an empty label")
			}
			label = 0
			i++
			continue
		}
		n, err := checkOctet(name[i:])
		if err != nil {
			return err
		}
		i += n
		if label++; label > 63 {
			return errors.New("has a label longer than 63 octets")
		}
	}
	return nil
}

// checkOctet checks the octet that s begins with and returns how many
// characters it takes: one, two for \X, four for \DDD.
func checkOctet(s string) (int, error) {
	switch c := s[0]; {
	case c == '\\' && len(s) == 1:
		return 0, errors.New(`ends in the middle of an escape`)
	case c == '\\' && isDigit(s[1]):
		if len(s) < 4 || !isDigit(s[2]) || !isDigit(s[3]) || s[1:4] > "255" {
			return 0, fmt.Errorf(`has %q where an escape \000 to \255 must stand`, s[:min(4, len(s))])
		}
		return 4, nil
	case c == '\\' && s[1] > ' ' && s[1] < 0x7f, c == '\\' && s[1] == ' ':
		return 2, nil
	case c == '\\':
		return 0, fmt.Errorf(`has %q; write the octet as \%03d`, s[:2], s[1])
	case c >= 0x80:
		return 0, errors.New("has characters outside ASCII; write them as an A-label (xn--…)")
	case c <= ' ' || c == 0x7f:
		return 0, fmt.Errorf(`has %q; write it as \%03d`, c, c)
	}
	return 1, nil
}

// plainInKey reports whether an octet stands in a key as it is.
func plainInKey(c byte) bool {
	return 'a' <= c && c <= 'z' || isDigit(c) || c == '-' || c == '_'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// lower folds the case of ASCII letters alone, as names compare (RFC 4343).
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// hexOctet reads two upper-case hex digits.
func hexOctet(hi, lo byte) (byte, bool) {
	const digits = "0123456789ABCDEF"
	h, l := strings.IndexByte(digits, hi), strings.IndexByte(digits, lo)
	return byte(h<<4 | l), h >= 0 && l >= 0
}

// abbreviate keeps a name that came from outside short enough for an error.
func abbreviate(name string) string {
	const enough = 300
	if len(name) <= enough {
		return name
	}
	return name[:enough] + "…"
}
