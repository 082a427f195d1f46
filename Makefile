# Everything a developer does with this repository. Each target does its own set-up.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup tools build release run test unit uitest doctest chaos sim bench envelope fmt lint doc clean

CARGO ?= cargo
# Arguments of `make run`, such as ARGS="--agents 3 --port 6060".
ARGS ?=
# No network is needed once the dependencies are there; the lock file is never changed by a build.
LOCKED := --locked

# Installs Debian packages that bring a missing program or file; says which where it cannot.
define install
$(if $(filter /%,$(1)),test -e $(1),command -v $(1) >/dev/null) || { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -qy $(2); } || { \
  echo "$(1) is missing: install it, on Debian with 'apt-get install $(2)'" >&2; exit 1; }
endef

help: ## Show the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## Check for the tools, and add the parts of the Rust toolchain that are missing
	@command -v $(CARGO) >/dev/null || { \
	  echo "cargo is missing: install Rust 1.90 or later, see https://rustup.rs" >&2; exit 1; }
	@$(call install,cc,gcc libc6-dev)
	@$(call install,npm,nodejs npm)
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { \
	  echo "Node.js $$(node --version) is too old: the web pages need 20 or later, as in Debian 13" >&2; exit 1; }
	@$(CARGO) fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy

build: setup ## Build all programs
	$(CARGO) build $(LOCKED) --workspace --bins

run: build ## Run a cluster on this machine until Ctrl-C: make run ARGS="--agents 2"
	exec target/debug/tepui local $(ARGS)

tools: setup
	@$(call install,python3,python3)
	@$(call install,java,default-jre-headless)
	@$(call install,/usr/share/java/zookeeper.jar,zookeeper)
	@$(call install,ip,iproute2)
	@$(call install,unshare,util-linux)
	@$(call install,/usr/bin/chromium,chromium)
	@$(call install,dockerd,docker.io)
	@$(call install,/bin/busybox,busybox-static)

test: build tools ## Check everything: programs, format, lints, tests, documentation
	$(CARGO) fmt --all --check
	$(MAKE) lint unit doctest uitest

unit: build ## Run all tests, with nextest where it is installed
	@[ "$$(id -u)" = 0 ] || echo "Not root: tests of cgroups, namespaces, volumes, images, users, small disks, Docker and chaos cannot run, and fail." >&2
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  $(CARGO) nextest run $(LOCKED) --workspace; \
	else \
	  $(CARGO) test $(LOCKED) --workspace --lib --bins --tests; \
	fi

# The build has installed what package-lock.json pins. What a browser sees is pictured in ui/screenshots.
uitest: build tools ## Test the web pages: types, parts, and all of them in a browser with a real cluster
	cd ui && npm run --silent check && npm test --silent && npm run --silent e2e

doctest: setup ## Run the examples in the documentation
	$(CARGO) test $(LOCKED) --workspace --doc

# Length of `make chaos`, and what its faults are chosen by.
MINUTES ?= 10
SEED ?= 1

chaos: build tools ## Kill, stop and cut off real masters, agents and ZooKeeper for MINUTES from SEED; needs root
	TEPUI_CHAOS_MINUTES=$(MINUTES) TEPUI_CHAOS_SEED=$(SEED) \
	  $(CARGO) test $(LOCKED) -p tepui --test chaos -- --nocapture

# Runs of `make sim`, and the first of their seeds.
SEEDS ?= 1000
FIRST ?= 0

sim: setup ## Simulate clusters with faults of all kinds from SEEDS seeds; a failure shows its replay
	$(CARGO) run $(LOCKED) --release -p tepui-core --features sim --example sim -- \
	  --seeds $(SEEDS) --first $(FIRST)

bench: release ## Measure real tasks, simulated clusters and the allocator
	target/release/tepui-loadtest bench --html target/bench.html
	$(CARGO) bench $(LOCKED) -p tepui-core

release: setup
	$(CARGO) build $(LOCKED) --release --workspace --bins

# The largest cluster that is measured: each agent needs an open file in the master (ulimit -Hn).
MOST_AGENTS ?= 19000
# What docs/performance.md says of the machine and the runs beside what they tell themselves.
NOTE ?=
# What docs/performance.md says was measured with. A failing scenario fails the target.
ENVELOPE_DIR := target/envelope
define measure
target/release/tepui-loadtest $(2) --save $(ENVELOPE_DIR)/$(1).json

endef

envelope: release ## Measure the tested envelope anew and write docs/performance.md (takes long)
	rm -rf $(ENVELOPE_DIR) && mkdir -p $(ENVELOPE_DIR) docs
	$(call measure,01,register --agents 5000)
	$(call measure,02,register --agents 10000)
	$(call measure,03,register --agents $(MOST_AGENTS))
	$(call measure,05,offers --agents 2500)
	$(call measure,06,offers --agents 5000)
	$(call measure,07,offers --agents 10000)
	$(call measure,08,launch --tasks 20000)
	$(call measure,09,launch --tasks 40000)
	$(call measure,10,launch --tasks 80000)
	$(call measure,11,launch --tasks 20000 --frameworks 10)
	$(call measure,12,launch --tasks 20000 --wire json)
	$(call measure,13,steady --rate 500)
	$(call measure,14,steady --rate 1000)
	$(call measure,15,steady --rate 2000)
	$(call measure,151,steady --rate 8000)
	$(call measure,16,failover --agents 2000 --tasks-per-agent 20)
	$(call measure,17,failover --agents 10000 --tasks-per-agent 10)
	$(call measure,18,failover --agents 5000 --tasks-per-agent 10)
	$(call measure,19,failover --agents $(MOST_AGENTS) --tasks-per-agent 10)
	$(call measure,21,state --agents 5000 --tasks 50000 --readers 1)
	$(call measure,22,state --agents 5000 --tasks 50000 --readers 10)
	$(call measure,221,state --agents 5000 --tasks 50000 --readers 20)
	$(call measure,27,state --agents 5000 --tasks 50000 --readers 1 --call GET_STATE --wire json)
	$(call measure,28,state --agents 5000 --tasks 50000 --readers 1 --call GET_STATE)
	$(call measure,29,state --agents 5000 --tasks 50000 --readers 0 --subscribers 100)
	$(call measure,i01,state --idle --seconds 6 --readers 1)
	$(call measure,i02,state --idle --seconds 6 --readers 10)
	$(call measure,i04,state --idle --seconds 6 --readers 1 --path '/tasks?limit=50000')
	$(call measure,i05,state --idle --seconds 6 --readers 1 --path /state-summary)
	$(call measure,i06,state --idle --seconds 6 --readers 1 --call GET_STATE)
	$(call measure,i07,state --idle --seconds 6 --readers 1 --call GET_STATE --wire json)
	$(call measure,i071,state --idle --seconds 6 --readers 10 --path /metrics/snapshot)
	$(call measure,i08,state --idle --seconds 6 --agents 19000 --tasks 190000 --readers 1)
	$(call measure,23,quota --agents 1000 --roles 1000)
	$(call measure,24,flap)
	$(call measure,25,bounds)
	$(call measure,26,agent-restart --tasks 500)
	$(call measure,31,apps --part create --apps 1000)
	$(call measure,32,apps --part create --apps 5000 --clients 16)
	$(call measure,33,apps --part read --apps 1000)
	$(call measure,34,apps --part scale --part upgrade)
	$(if $(filter 0,$(shell id -u)),$(call measure,35,containers))
	target/release/tepui-loadtest report --markdown docs/performance.md --note "$(NOTE)" \
	  $(ENVELOPE_DIR)/*.json >/dev/null

fmt: setup ## Format the code
	$(CARGO) fmt --all

lint: setup ## Run clippy, no warning allowed
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings

doc: setup ## Build the documentation of the code
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(LOCKED) --workspace --no-deps --document-private-items

clean: ## Remove what was built
	$(CARGO) clean
