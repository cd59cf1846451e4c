// Package pdnstest starts real PowerDNS servers for tests, each in a
// directory of its own on free loopback ports. Nothing but tests imports it.
// It needs pdns_server, its SQLite and LMDB backends, and sqlite3 (Debian:
// pdns-server pdns-backend-sqlite3 pdns-backend-lmdb sqlite3); a test that finds one
// missing fails.
package pdnstest
