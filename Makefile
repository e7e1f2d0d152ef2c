# Every target works on its own; "make test" is what CI runs.

GO          ?= go
PREFIX      ?= $(HOME)/.local
FUZZTIME    ?= 5s
SOAKTIME    ?= 15m
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# The race detector needs a C compiler; without one the tests run without it,
# but not under CI.
HAVE_CC := $(shell command -v $${CC:-gcc} 2>/dev/null)
RACE    := $(if $(HAVE_CC)$(filter true,$(CI)),-race)

.PHONY: run build install test tools lint unit fuzz e2e soak bench bench-docs pgo

run: ## serve the routes of devproxy.toml
	$(GO) run ./cmd/devproxy

build: ## bin/devproxy, static
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/devproxy ./cmd/devproxy

install: build ## $(PREFIX)/bin/devproxy
	install -d $(PREFIX)/bin
	install -m 0755 bin/devproxy $(PREFIX)/bin/devproxy
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo "note: $(PREFIX)/bin is not on your PATH yet" ;; esac

# Tests are of the program without its profile: with it every package they share
# with the program would be compiled twice.
lint unit fuzz e2e soak: export GOFLAGS := $(GOFLAGS) -pgo=off

test: tools lint unit fuzz e2e ## everything, within 15 minutes

tools: ## programs the tests use: installed under CI=true, else listed
	sh e2e/tools.sh

lint:
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	for os in linux darwin windows; do GOOS=$$os CGO_ENABLED=0 $(GO) vet ./... || exit 1; done
	$(GO) vet -tags pgo ./cmd/devproxy
	cd e2e && $(GO) vet ./...
	cd bench && $(GO) vet ./...
	$(GO) mod tidy -diff
	cd e2e && $(GO) mod tidy -diff
	cd bench && $(GO) mod tidy -diff
	$(GO) run $(STATICCHECK) ./...
	cd e2e && $(GO) run $(STATICCHECK) ./...
	cd bench && $(GO) run $(STATICCHECK) ./...

# The programs that tests start need not wait a second at their end, as the race
# detector has them do. It also allocates, so what is about that runs without it.
unit:
	GORACE=atexit_sleep_ms=0 DEVPROXY_REAL_STORES=1 $(GO) test $(RACE) -shuffle=on ./...
	$(if $(RACE),$(GO) test -run Allocat ./internal/backend ./internal/proxy)
	cd bench && $(GO) test -shuffle=on ./...

# A target alone leaves a core idle while it is built and started, so two run side
# by side, with a worker each.
fuzz: ## each fuzz target for FUZZTIME
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' internal cmd | sed -E 's,/[^/]*:func , ,' | sort | \
		GO='$(GO)' FUZZTIME='$(FUZZTIME)' xargs -P 2 -n 2 .ci/fuzz

# Without package names go test shows what the tests say they skip.
e2e: tools ## real browsers, clients and backends, in a sandbox
	cd e2e && $(GO) test -count=1 -timeout 12m

soak: tools ## the same with many more rounds, and mixed traffic for SOAKTIME
	cd e2e && DEVPROXY_SOAK=1 SOAKTIME=$(SOAKTIME) $(GO) test -count=1 -timeout 6h

bench: build ## devproxy beside Caddy, nginx and HAProxy; BENCH="-only h1 -short" measures less
	sh bench/tools.sh
	cd bench && $(GO) run . $(BENCH)

bench-docs: ## the last run of make bench into docs/benchmarks.md
	cd bench && $(GO) run . -from ../bin/bench.json -docs ../docs/benchmarks.md

# By this profile the compiler optimises the program, wherever it is built. To be
# made anew when the data path has changed, on a machine with nothing else to do.
pgo: ## cmd/devproxy/default.pgo, from a load of under a minute
	CGO_ENABLED=0 DEVPROXY_TEST_PROFILE='$(CURDIR)/cmd/devproxy/default.pgo' \
		$(GO) test -tags pgo -pgo=off -trimpath -count=1 -timeout 2m -v -run '^TestLoad$$' ./cmd/devproxy
