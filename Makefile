# Berth. `make` prints this help; `make up` and `make test` do all.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export GOFLAGS := -buildvcs=false
# One set of build flags for the program, the tests and the linter, so that
# nothing is compiled twice. Only race builds and runc need cgo.
export CGO_ENABLED := 0

KUBE_VERSION := v1.37.2
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
VERSION := $(KUBE_VERSION)+berth0.1.0
VERSION_PKG := k8s.io/component-base/version
LDFLAGS := -s -w -X $(VERSION_PKG).gitVersion=$(VERSION) -X $(VERSION_PKG).gitMajor=1 -X $(VERSION_PKG).gitMinor=37 \
	-X $(VERSION_PKG).gitCommit=$(COMMIT) -X $(VERSION_PKG).gitTreeState=clean
KUBECTL_LDFLAGS := -s -w -X $(VERSION_PKG).gitVersion=$(KUBE_VERSION) -X $(VERSION_PKG).gitMajor=1 -X $(VERSION_PKG).gitMinor=37

DATA_DIR ?= /var/lib/berth
# Packages that are tested under the race detector: the pure parts and what runs
# goroutines without the big Kubernetes servers (a race build doubles their cost).
RACE := ./internal/plan/... ./internal/base/... ./internal/sim/...

.PHONY: help
help: ## show this help
	@echo "Berth: a Kubernetes-compatible cluster in one program, built for stateful apps"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

.PHONY: deps
deps: ## install the Debian packages that building and running need
	@hack/deps.sh

.PHONY: build
build: deps bundle programs ## build bin/berth, bin/kubectl and bin/bundle/

.PHONY: programs
programs:
	@mkdir -p bin/bundle/cni
	go build -ldflags "$(LDFLAGS)" -o bin/berth ./cmd/berth
	go build -ldflags "$(KUBECTL_LDFLAGS)" -o bin/kubectl ./cmd/kubectl
	go build -ldflags "-s -w" -o bin/bundle/cni/berth-cni ./cmd/berth-cni
	go build -ldflags "-s -w" -o bin/bundle/berth-fence ./cmd/berth-fence

BUNDLE_SOURCES := $(shell find bundle -type f)
.PHONY: bundle
bundle: bin/bundle/.built ## build containerd, runc, the CNI plugins and our images
bin/bundle/.built: $(BUNDLE_SOURCES)
	bundle/build.sh bin/bundle
	@touch $@

.PHONY: up
up: build ## build, start Berth in the background and run the demo StatefulSet
	@DATA_DIR=$(DATA_DIR) hack/up.sh

.PHONY: down
down: ## stop Berth and its pods, leave nothing behind but the data
	@if [ -x bin/berth ]; then bin/berth down --data-dir $(DATA_DIR); else echo "nothing is built, so nothing runs"; fi

.PHONY: test
test: build ## run all tests: unit, API, simulator, end to end
	@hack/test.sh $(RACE)

# SYSTEM are the systems of `make examples` and `make drills`: all, unless some are
# named; with CONTINUE=1 without those that have passed before.
SYSTEM ?=
.PHONY: examples
examples: build ## run every system of examples/ through its end-to-end test; SYSTEM="redis etcd", CONTINUE=1
	@hack/systems.sh examples $(SYSTEM)

.PHONY: drills
drills: build ## break every system of examples/ on purpose, under load, and print the figures; SYSTEM=, CONTINUE=1
	@hack/systems.sh drills $(SYSTEM)

# SOAK is how long `make soak` runs.
SOAK ?= 10m

.PHONY: soak
soak: ## run seeded histories of the simulator for SOAK (10m)
	go test -count=1 -timeout 0 -v -run '^TestSoak$$' ./internal/sim -soak $(SOAK)

# STATES is how many states `make oracle` compares at least, SEED what they are
# drawn from (0: the time). Kubernetes is compiled for it, a minute or more.
STATES ?= 100000
SEED ?= 0
.PHONY: oracle
oracle: ## compare the StatefulSet controller with upstream's on STATES (100000) states
	go build -C test/oracle/upstream -o $(CURDIR)/bin/oracle-upstream .
	go test -count=1 -timeout 0 -v -run '^TestOracle' ./test/oracle -upstream $(CURDIR)/bin/oracle-upstream -states $(STATES) -seed $(SEED)

.PHONY: lint
lint: deps ## run the linters
	go vet ./...
	go build -modfile=tools/go.mod -o bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint run ./...

.PHONY: generate
generate: ## write generated code again
	go generate ./...

.PHONY: bench
bench: build ## run the benchmarks and print their figures
	@hack/bench.sh

.PHONY: clean
clean: ## remove what make built
	rm -rf bin dist
