package bench

import (
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Machine is what the figures were taken on.
type Machine struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory float64 `json:"memory_gib"`
	Kernel string  `json:"kernel"`
}

func describeMachine() (Machine, error) {
	m := Machine{Cores: runtime.NumCPU()}
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return m, err
	}
	cpus, err := proc.CPUInfo()
	if err != nil {
		return m, err
	}
	if len(cpus) > 0 {
		m.CPU = cpus[0].ModelName
	}
	memory, err := proc.Meminfo()
	if err != nil {
		return m, err
	}
	if memory.MemTotalBytes != nil {
		m.Memory = round(float64(*memory.MemTotalBytes) / (1 << 30))
	}
	var name unix.Utsname
	err = unix.Uname(&name)
	m.Kernel = unix.ByteSliceToString(name.Release[:])
	return m, err
}

// versions are those of what was measured. Temporal and NATS are part of this program.
func (b *bench) versions(ctx context.Context) (map[string]string, error) {
	versions := map[string]string{}
	data, err := b.direct.Call(ctx, http.MethodGet, "", nil)
	if err != nil {
		return nil, err
	}
	var server struct{ Version string }
	if err := json.Unmarshal(data, &server); err != nil {
		return nil, err
	}
	versions["powerdns"] = server.Version
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			switch module.Path {
			case "go.temporal.io/server":
				versions["temporal"] = module.Version
			case "github.com/nats-io/nats-server/v2":
				versions["nats"] = module.Version
			}
		}
	}
	for name, path := range map[string]string{
		"pdns-distribute": b.env["PDNS_DISTRIBUTE_BIN"], "consul": filepath.Join(b.env["STACK_TOOLS"], "consul"),
	} {
		out, err := exec.CommandContext(ctx, path, "version").Output()
		if err != nil {
			return nil, err
		}
		versions[name], _, _ = strings.Cut(string(out), "\n")
	}
	// The binaries are built without it. No commit is no fault: the sources may have come as an archive.
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		versions["commit"] = strings.TrimSpace(string(out))
	}
	return versions, nil
}
