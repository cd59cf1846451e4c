package config

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// split takes an address apart; ok is false when it is not host:port. The port
// must be a number, 0 included.
func split(address string) (host string, port uint64, ok bool) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, false
	}
	port, err = strconv.ParseUint(text, 10, 16)
	return host, port, err == nil && isHost(host)
}

// isHost reports whether host is an IP address or can be a host's name.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	_, name := dns.IsDomainName(host)
	return name && !strings.ContainsAny(host, " /:@\\[]") && !strings.HasPrefix(host, ".")
}

// isLoopback reports whether host is this host itself, whatever DNS says.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}

// checkAddress wants host:port of another process.
func checkAddress(faults *faultList, key, address string) {
	host, port, ok := split(address)
	switch {
	case strings.Contains(address, "://"):
		faults.add(key, "holds a scheme, expected host:port only: TLS is always used")
	case !ok || host == "" || port == 0:
		faults.add(key, "is %q, expected host:port", address)
	}
}

// checkListen wants host:port to listen on; an empty host is every address,
// port 0 one that is free.
func checkListen(faults *faultList, key, address string) {
	if _, _, ok := split(address); !ok {
		faults.add(key, "is %q, expected host:port, or :port for every address", address)
	}
}

// checkLoopback wants an IP address of this host alone, with a port that stays.
func checkLoopback(faults *faultList, key, address string) {
	host, port, ok := split(address)
	addr, err := netip.ParseAddr(host)
	if !ok || err != nil || !addr.IsLoopback() || port == 0 {
		faults.add(key, "is %q, expected a loopback IP address with port, such as 127.0.0.1:53: what goes there is not encrypted", address)
	}
}

// checkAdvertised wants an address that other hosts can reach.
func checkAdvertised(faults *faultList, key, address string) {
	host, port, ok := split(address)
	addr, err := netip.ParseAddr(host)
	switch {
	case address == "":
		faults.add(key, "missing, expected the address at which primaries reach this PowerDNS, such as 192.0.2.1:53")
	case !ok || host == "" || port == 0:
		faults.add(key, "is %q, expected host:port, such as 192.0.2.1:53", address)
	case err == nil && addr.IsUnspecified():
		faults.add(key, "is %q, which stands for every address, expected the one at which primaries reach this PowerDNS", address)
	}
}

// checkServerURL wants scheme://host:port and nothing else. Faults do not show
// the text, since it may hold a password.
func checkServerURL(faults *faultList, key, text, scheme string) {
	address, err := url.Parse(text)
	switch {
	case err != nil || address.Host == "":
		faults.add(key, "holds no address, expected %s://host:port", scheme)
	case address.User != nil:
		faults.add(key, "holds a user or password, expected none: these are read from files")
	case address.Scheme != scheme:
		faults.add(key, "begins with %s://, which is not accepted, also on loopback, expected %s://host:port", address.Scheme, scheme)
	case strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.Fragment != "":
		faults.add(key, "holds more than an address, expected %s://host:port", scheme)
	default:
		if host, port, ok := split(address.Host); !ok || host == "" || port == 0 {
			faults.add(key, "is %q, expected %s://host:port", text, scheme)
		}
	}
}
