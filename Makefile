# Everything that this needs and does not find, stack/setup.sh installs or builds.
.PHONY: demo demo-stop bench test test-product test-system lint vulncheck clean

export STACK_BIN := $(CURDIR)/bin/stack
export PDNS_DISTRIBUTE_BIN := $(CURDIR)/bin/pdns-distribute
export STACK_TOOLS := $(CURDIR)/bin/tools
# Without the paths of this checkout in what is compiled, another one of the same code compiles nothing again.
export GOFLAGS := $(strip $(shell go env GOFLAGS 2>/dev/null) -trimpath)

# A whole system on loopback, in .demo; ARGS=--detach returns when it is ready.
demo:
	@stack/setup.sh demo
	@$(STACK_BIN) demo $(ARGS)

demo-stop:
	@$(STACK_BIN) down

# Figures of a system of its own, in .bench, beside PowerDNS's own replication; ARGS=--help tells what can be chosen.
bench:
	@stack/setup.sh demo
	@$(STACK_BIN) bench $(ARGS)

# Unit, workflow and integration tests of the product with the race detector, then the tests of the whole system, which bound
# the systems that run at once themselves (stack/e2e). Not all of it at once: what must be right within seconds of a fault is
# not, where ten times as much runs as there are cores.
# -race needs cgo; the rest is built without, like everything else that setup.sh builds, so nothing compiles twice.
# The systems of tests live in memory where there is much, as nothing of them must outlast the machine.
# -count=1: Go's test cache does not see that the servers and the product behind STACK_BIN have changed.
test:
	@stack/setup.sh test
	@$(MAKE) --no-print-directory test-product
	@$(MAKE) --no-print-directory test-system

# A folder in memory with 8 GiB to spare, else the usual one for temporary files.
MEMORY = $(shell df --output=avail,target -BG /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 + 0 >= 8 { print $$2; found = 1 } END { if (!found) print "$(or $(TMPDIR),/tmp)" }')

test-product:
	CGO_ENABLED=1 go test -race -count=1 -p 4 -timeout 20m ./...

test-system: export GOTMPDIR := $(or $(TMPDIR),/tmp)
test-system: export TMPDIR := $(MEMORY)
test-system:
	cd stack && CGO_ENABLED=0 go test -count=1 -p 2 -parallel 4 -timeout 30m ./...

lint:
	@stack/setup.sh lint
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt: format $$unformatted" >&2; exit 1; }
	CGO_ENABLED=0 go vet ./...
	CGO_ENABLED=0 $(STACK_TOOLS)/golangci-lint run ./...
	cd stack && CGO_ENABLED=0 $(STACK_TOOLS)/golangci-lint run --config ../.golangci.yml ./...
	CGO_ENABLED=0 $(STACK_TOOLS)/workflowcheck -config .workflowcheck.yml ./workflows/...

# Needs https://vuln.go.dev.
vulncheck:
	@stack/setup.sh vulncheck
	CGO_ENABLED=0 $(STACK_TOOLS)/govulncheck ./...

clean:
	@if [ -e .demo/state.json ]; then $(STACK_BIN) down; fi
	rm -rf bin .demo .bench
