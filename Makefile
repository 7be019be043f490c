# Hippius Compute. `make` lists what can be made.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN      := build/bin
GOBUILD  := go build -ldflags "-s -w -X main.version=$(VERSION)"
TOOL     := go tool -modfile=tools/go.mod

# The same for programs, tests and lint, or the chain's framework is compiled once for each: minutes.
export CGO_ENABLED := 0
export GOFLAGS     := $(GOFLAGS) -trimpath
# What lint remembers holds this folder's path.
export GOLANGCI_LINT_CACHE := $(CURDIR)/build/lint

# What the tenant's part of a web page links: it compiles for browsers, and links what arch_test.go allows.
WASM      := ./internal/wallet ./internal/peer ./chain/client ./tenant ./mesh/cert ./mesh/ca ./mesh/admit

# Packages whose tests link the chain's framework take minutes to build with the race detector.
SDK_FREE  = $$(go list -test -f '{{.ImportPath}} {{join .Deps " "}}' ./... | grep -E '^[^ ]+\.test ' | grep -v -E 'cosmos/cosmos-sdk|cometbft/cometbft' | sed 's/\.test .*//')

.PHONY: help setup build image demo devnet test race lint gen gen-check e2e fuzz chaos scale limits bench bench-chain deb size clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## install what a fresh Debian 12 host needs (root)
	@tools/setup/setup.sh

build: ## build all programs into build/bin
	@mkdir -p $(BIN)
	$(GOBUILD) -o $(BIN)/ ./cmd/...

image: setup ## build the Debian cloud image and the tiny guest
	tools/images/build.sh build/images

image-tiny: setup
	tools/images/build.sh --only tiny build/images

demo: setup build image ## a whole network on this host, and the main job on it (root)
	$(BIN)/hippius-devnet demo

devnet: setup build image ## keep a network up to play with; Ctrl-C ends it (root)
	$(BIN)/hippius-devnet up

test: setup build image-tiny ## all tests, with real VMs where this user is root
	go test -count=1 -timeout 30m -p 2 ./...

race: setup build image-tiny ## all tests under the race detector
	GORACE="suppressions=$(CURDIR)/tools/race.supp" CGO_ENABLED=1 go test -race -timeout 40m -p 2 ./...

race-fast: build ## the tests that do not link the chain's framework, under the race detector
	GORACE="suppressions=$(CURDIR)/tools/race.supp" CGO_ENABLED=1 go test -count=1 -race -short -timeout 20m -p 2 $(SDK_FREE)

lint: ## vet and lint
	$(TOOL) golangci-lint run --allow-serial-runners ./...
	GOOS=js GOARCH=wasm go vet $(WASM)

gen: ## generate code from proto/
	tools/proto/gen.sh

gen-check: gen ## fail if the generated code is not what proto/ says
	@changed=$$(git status --porcelain -- 'api/*.pb.go' 'chain/x/*.pb.go' proto); [ -z "$$changed" ] || \
		{ echo "$$changed"; echo "the generated code is not what proto/ says: run 'make gen' and commit" >&2; exit 1; }

limits: setup build image-tiny ## try from inside a VM to exceed what it was sold (root, minutes)
	HIPPIUS_LIMITS=full go test -count=1 -timeout 30m -v -run TestLimits ./test/limits

e2e: setup build image ## whole-network tests with real VMs (root)
	go test -timeout 40m -count=1 ./test/...

fuzz: ## every fuzz target for 60 s (FUZZTIME=10s for less)
	tools/fuzz.sh $${FUZZTIME:-60s}

chaos: ## simulated networks in which everything goes wrong: 200, or SEEDS=n, or one again in full with SEED=n
	go test -count=1 -v -timeout 60m -run '^TestChaos$$' ./test/e2e $(if $(SEED),-chaos.seed=$(SEED),-chaos.seeds=$(or $(SEEDS),200))

scale: ## 10 000 VMs for six simulated hours, and 100 000 that run out at once, on one chain in memory (minutes)
	go test -count=1 -v -timeout 60m -run '^(TestScale|TestRunOutOfMany)$$' ./chain/x/compute/computetest -scale.full -runout.vms=100000

bench: setup build image-tiny bench-chain ## print "name value unit" lines (root)
	@$(BIN)/hippius-devnet bench

bench-chain: ## print those of the chain in memory; all other output goes to standard error
	@go test -count=1 -v -timeout 60m -run '^TestFigures$$' ./chain/x/compute/computetest -figures | tee /dev/stderr | sed -n 's/^figure //p'

deb: build ## build the Debian packages into build/deb
	tools/deb.sh build/deb $(VERSION)

size: build ## check how large is what tenants download
	@tools/size.sh

clean: ## remove what was built
	rm -rf build
