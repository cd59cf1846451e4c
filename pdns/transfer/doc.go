// Package transfer moves zone content in and out of a PowerDNS: [Pull] takes
// it from a primary by AXFR and writes the content encoding that travels
// between hosts, [Read] reads that encoding, and [Server] hands it to the
// secondary's own PowerDNS as AXFR on a loopback address. Content streams all
// the way: nothing here holds a whole zone but the digest's compact records.
package transfer
