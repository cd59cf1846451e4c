package pdns

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
)

// Prove returns the proof that an event of this kind comes from one of our
// api-proxies: an HMAC-SHA256 over its change ID, zone, kind, primary, whether that
// took the change, and time, under a key that only primaries may read.
func (e Event) Prove(kind ChangeKind, key []byte) string {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{e.ChangeID, e.Zone, string(kind), e.Primary, strconv.FormatBool(e.Taken)} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		mac.Write([]byte(part))
	}
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(e.CreatedAt.UnixNano())))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// ProvenBy says what the API call of an event was, as its proof under one of the
// keys says; [NotProxied] without a valid proof.
func (e Event) ProvenBy(keys ...[]byte) Proxied {
	if e.Proof == "" {
		return NotProxied
	}
	for _, key := range keys {
		for _, kind := range []ChangeKind{ChangeAdd, ChangeModify, ChangeDelete} {
			if hmac.Equal([]byte(e.Proof), []byte(e.Prove(kind, key))) {
				return ProxiedAs(kind)
			}
		}
	}
	return NotProxied
}
