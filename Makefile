# `make` lists the targets.
SHELL := /bin/bash
GO    ?= go
BIN   := bin
T     ?= 30s
SPANS ?= 2000000
# How long the tests of one package may take.
TIMEOUT ?= 20m

.DEFAULT_GOAL := help
.PHONY: help generated pictures terminal-test build demo test check race bench bench-go lint layers fuzz release-check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

build: ## build bin/ringctl and bin/tempod
	$(GO) build -trimpath -o $(BIN)/ ./cmd/ringctl ./cmd/tempod

demo: build ## start a real local cluster with traffic and open the dashboard on it
	$(BIN)/ringctl demo

test: ## run all tests that need nothing but Go
	$(GO) test -timeout $(TIMEOUT) ./...

race: ## run all tests with the race detector
	$(GO) test -race -timeout $(TIMEOUT) ./...

layers: ## check who imports whom
	$(GO) test -run TestLayers ./engine

lint: ## run golangci-lint
	golangci-lint run ./...

check: lint layers race ## everything that a change must pass

bench: build ## measure tempod from socket to answers with SPANS spans (default 2 million; 2 minutes, 2 GB of disk)
	$(GO) run ./bench/e2e -tempod $(BIN)/tempod -spans $(SPANS)

bench-go: ## run the benchmarks of all packages once
	$(GO) test -run '^$$' -bench . -benchtime 200ms ./...

fuzz: ## run every fuzz target for T (default 30s) each
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(T) -fuzzminimizetime 1x $$pkg; done; done

generated: build ## write man pages and shell completions to build/generated
	mkdir -p build/generated/man build/generated/completions
	$(BIN)/ringctl man --dir build/generated/man
	$(BIN)/ringctl completion bash > build/generated/completions/ringctl.bash
	$(BIN)/ringctl completion zsh > build/generated/completions/_ringctl
	$(BIN)/ringctl completion fish > build/generated/completions/ringctl.fish

pictures: build ## make docs/pictures anew from a real demo in a real terminal (needs tmux)
	$(GO) run ./tui/pictures $(BIN) docs/pictures

terminal-test: ## drive the demo through a real terminal (needs tmux)
	RINGCTL_TEST_TMUX=1 $(GO) test -v -run 'InTerminal|ClosedTerminal' ./cmd/ringctl

release-check: ## check goreleaser.yaml and build a snapshot of every platform
	goreleaser check
	goreleaser release --snapshot --clean --skip=publish

clean: ## remove what was built
	rm -rf $(BIN) build dist
