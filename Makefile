# Everything a developer does with this repository. Each target does its own set-up.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup tools build run test unit doctest bench fmt lint doc clean

CARGO ?= cargo
# Arguments of `make run`, such as ARGS="--agents 3 --port 6060".
ARGS ?=
# No network is needed once the dependencies are there; the lock file is never changed by a build.
LOCKED := --locked

# Installs Debian packages that bring a missing program; says which where it cannot.
define install
command -v $(1) >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -qy $(2); } || { \
  echo "$(1) is missing: install it, on Debian with 'apt-get install $(2)'" >&2; exit 1; }
endef

help: ## Show the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## Check for the tools, and add the parts of the Rust toolchain that are missing
	@command -v $(CARGO) >/dev/null || { \
	  echo "cargo is missing: install Rust 1.90 or later, see https://rustup.rs" >&2; exit 1; }
	@$(call install,cc,gcc libc6-dev)
	@$(CARGO) fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy

build: setup ## Build all programs
	$(CARGO) build $(LOCKED) --workspace --bins

run: build ## Run a cluster on this machine until Ctrl-C: make run ARGS="--agents 2"
	exec target/debug/tepui local $(ARGS)

tools: setup
	@$(call install,python3,python3)

test: build tools ## Check everything: programs, format, lints, tests, documentation
	$(CARGO) fmt --all --check
	$(MAKE) lint unit doctest

unit: build ## Run all tests, with nextest where it is installed
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  $(CARGO) nextest run $(LOCKED) --workspace; \
	else \
	  $(CARGO) test $(LOCKED) --workspace --lib --bins --tests; \
	fi

doctest: setup ## Run the examples in the documentation
	$(CARGO) test $(LOCKED) --workspace --doc

bench: setup ## Measure a real cluster (latency, throughput, memory) and the allocator
	$(CARGO) build $(LOCKED) --release --workspace --bins
	target/release/tepui-loadtest bench
	$(CARGO) bench $(LOCKED) -p tepui-core

fmt: setup ## Format the code
	$(CARGO) fmt --all

lint: setup ## Run clippy, no warning allowed
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings

doc: setup ## Build the documentation of the code
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(LOCKED) --workspace --no-deps --document-private-items

clean: ## Remove what was built
	$(CARGO) clean
