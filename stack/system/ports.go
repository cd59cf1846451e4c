package system

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A port of the system: its name in the state file, its number in the demo, and whether it is asked by UDP too.
type port struct {
	name  string
	fixed int
	udp   bool
}

// allPorts are the fixed ports of the demo, above the privileged range and below Linux's ephemeral one (32768), so
// that no outgoing connection takes one while its process is stopped.
var allPorts = []port{
	{"pdns-primary.dns", 15300, true},
	{"pdns-secondary-1.dns", 15301, true},
	{"pdns-secondary-2.dns", 15302, true},
	{"pdns-primary.api", 15310, false},
	{"pdns-secondary-1.api", 15311, false},
	{"pdns-secondary-2.api", 15312, false},
	{"secondary-1.transfer", 15321, true},
	{"secondary-2.transfer", 15322, true},
	{"primary.metrics", 15330, false},
	{"secondary-1.metrics", 15331, false},
	{"secondary-2.metrics", 15332, false},
	{"primary.proxy", 15443, false},
	{"nats.client", 15222, false},
	{"consul.https", 15501, false},
	{"consul.server", 15502, false},
	{"consul.serf", 15503, true},
	{"temporal.frontend", 15233, false},
	{"temporal.ui", 15280, false},
	{"temporal.history", 15234, false},
	{"temporal.matching", 15235, false},
	{"temporal.worker", 15239, false},
	{"pdns-primary-2.dns", 15303, true},
	{"pdns-primary-2.api", 15313, false},
	{"primary-2.metrics", 15333, false},
	{"primary-2.proxy", 15444, false},
	{"postgres.sql", 15432, false},
	{"postgres-standby.sql", 15433, false},
	{"primary-trigger.metrics", 15334, false},
	{"primary-worker.metrics", 15335, false},
}

const (
	firstFreePort = 20000
	lastFreePort  = 32000
	portBlock     = 32 // ports a system, at least len(allPorts)
)

func defaultPorts() map[string]int {
	ports := make(map[string]int, len(allPorts))
	for _, p := range allPorts {
		ports[p.name] = p.fixed
	}
	return ports
}

// claimPorts finds a block of unused ports and claims it for dir with a file that other systems of this user see: a
// port that a test has stopped for a while must not be given to another system. A claim whose folder is gone is void.
func claimPorts(dir string) (map[string]int, string, error) {
	claims := filepath.Join(os.TempDir(), "pdns-distribute-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(claims, 0o700); err != nil {
		return nil, "", fmt.Errorf("make the folder of port claims: %w", err)
	}
	for base := firstFreePort; base+portBlock <= lastFreePort; base += portBlock {
		claim := filepath.Join(claims, strconv.Itoa(base))
		if !takeClaim(claim, dir) {
			continue
		}
		ports := make(map[string]int, len(allPorts))
		for i, p := range allPorts {
			ports[p.name] = base + i
		}
		if busy(context.Background(), allPorts, ports) == nil {
			return ports, claim, nil
		}
		if err := os.Remove(claim); err != nil {
			return nil, "", err
		}
	}
	return nil, "", fmt.Errorf("no block of %d unused ports between %d and %d", portBlock, firstFreePort, lastFreePort)
}

func takeClaim(claim, dir string) bool {
	if owner, err := os.ReadFile(claim); err == nil {
		if _, err := os.Stat(strings.TrimSpace(string(owner))); err == nil || len(owner) == 0 {
			return false // in use, or being written this moment
		}
		if os.Remove(claim) != nil {
			return false
		}
	}
	f, err := os.OpenFile(claim, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	_, err = f.WriteString(dir)
	return errors.Join(err, f.Close()) == nil
}

// busy returns an error that names every one of these ports that something else listens on, and what it is for.
func busy(ctx context.Context, check []port, numbers map[string]int) error {
	var faults []error
	for _, p := range check {
		addr := loopback(numbers[p.name])
		process, purpose, _ := strings.Cut(p.name, ".")
		if err := tryListen(ctx, addr, p.udp); err != nil {
			faults = append(faults, fmt.Errorf("port %d (%s of %s) is busy: %w; see who has it: ss -lntup sport = :%d",
				numbers[p.name], purpose, process, err, numbers[p.name]))
		}
	}
	return errors.Join(faults...)
}

func tryListen(ctx context.Context, addr string, udp bool) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	if err := l.Close(); err != nil || !udp {
		return err
	}
	u, err := lc.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return err
	}
	return u.Close()
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// portsOf are the ports that the process name listens on.
func portsOf(name string) []port {
	var own []port
	for _, p := range allPorts {
		if strings.HasPrefix(p.name, name+".") {
			own = append(own, p)
		}
	}
	return own
}
