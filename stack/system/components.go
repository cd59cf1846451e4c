package system

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// component is one process of the system.
type component struct {
	name string
	// phase orders starts and stops: everything of one phase is ready before the next starts, and stops in reverse.
	phase int
	// prepare writes what the process needs before its first start; doing so again is harmless. May be nil.
	prepare func(context.Context, *System) error
	// command is what to run.
	command func(*System) (argv []string, err error)
	// ready returns nil once the process does its work. Asked until it does.
	ready func(context.Context, *System) error
	// port is the name of the port shown as the process's address.
	port string
	// slack is how late its timers may be; the system's default when 0.
	slack time.Duration
	// orderly is the signal that asks the process to end; SIGTERM when 0.
	orderly unix.Signal
}

const (
	phaseDatabase = iota
	phaseStandby  // copies the database
	phaseServers
	phasePrimary
	phaseSecondaries
)

var (
	natsServer     = component{name: "nats", phase: phaseServers, prepare: prepareNATS, command: commandNATS, ready: readyNATS, port: "nats.client"}
	consulServer   = component{name: "consul", phase: phaseServers, prepare: prepareConsul, command: commandConsul, ready: readyConsul, port: "consul.https"}
	temporalServer = component{name: "temporal", phase: phaseServers, prepare: prepareTemporal, command: commandTemporal, ready: readyTemporal, port: "temporal.frontend"}
)

// programs are the executables of the system.
type programs struct {
	stack   string // this binary, started again with `serve`
	tools   string // folder with consul, temporal, tctl
	product string
}

// findPrograms takes them from STACK_BIN, STACK_TOOLS and PDNS_DISTRIBUTE_BIN, else from where setup.sh puts them:
// beside this executable. A test binary is not the stack binary, so tests need STACK_BIN.
func findPrograms() (programs, error) {
	self := os.Getenv("STACK_BIN")
	if self == "" {
		exe, err := os.Executable()
		if err != nil {
			return programs{}, err
		}
		self = exe
	}
	self, err := filepath.Abs(self)
	if err != nil {
		return programs{}, err
	}
	found := programs{stack: self, tools: filepath.Join(filepath.Dir(self), "tools"), product: filepath.Join(filepath.Dir(self), "pdns-distribute")}
	if dir := os.Getenv("STACK_TOOLS"); dir != "" {
		found.tools = dir
	}
	if bin := os.Getenv("PDNS_DISTRIBUTE_BIN"); bin != "" {
		found.product = bin
	}
	return found, nil
}

// tool is the path of a program that setup.sh built.
func (p programs) tool(name string) (string, error) {
	path := filepath.Join(p.tools, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not built (%w): run stack/setup.sh, or `make demo`, which does", name, err)
	}
	return path, nil
}

// distributionProgram finds a program of the distribution; sbin folders are not on every user's PATH.
func distributionProgram(name, pkg string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed (Debian and Ubuntu package %s): run stack/setup.sh", name, pkg)
}
