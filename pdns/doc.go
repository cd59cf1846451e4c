// Package pdns holds the pure rules of zone distribution: names, serials
// (RFC 1982), digests (RFC 8976), versions and plans. No network, no files, no
// clock: where time matters it is an argument. The packages below it speak to
// PowerDNS.
package pdns
