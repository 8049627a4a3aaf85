# Everything here runs on a machine with Go, Python 3 and make. What else is needed (Envoy, golangci-lint, opa) is
# pinned in tools/ and go.mod, fetched once and kept in .cache/ or Go's own caches.

.DEFAULT_GOAL := help
.PHONY: help build envoy image chromium node demo express test ci test-kubernetes test-short lint policies format fuzz bench clean

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 5m
ROUNDS ?= 5
REQUESTS ?= 5000000
export TESTBED_ENVOY ?= $(CURDIR)/.cache/bin/envoy

LINT := go tool -modfile=tools/go.mod golangci-lint
OPA := go tool opa
REGO := policies policy_test

help: ## this list
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

# grpcnotrace: without grpc-go's tracing pages, and so without html/template, the linker can leave out every method
# that nobody calls. It makes the program a quarter smaller.
build: ## bin/authz
	CGO_ENABLED=0 go build -trimpath -tags grpcnotrace -ldflags '-s -w -X main.version=$(VERSION)' -o bin/authz ./cmd/authz

image: ## what a release ships: program, bill of materials, OCI image, without a container engine (.cache/release/)
	@go run ./release -o .cache/release -version '$(VERSION)' $(ARGS)

envoy: ## find or fetch Envoy (.cache/bin/envoy)
	@tools/get-envoy

chromium: ## find or install Chromium, the judge of the browser tests
	@tools/get-chromium

node: ## find or install Node.js, and the packages of examples/express and oracle/joi
	@tools/get-node

demo: envoy ## a guided tour of real requests, then yours (ARGS=--check: the tour only, as a test)
	@go build -o .cache/bin/demo ./demo
	@.cache/bin/demo $(ARGS)

express: envoy node ## an Express app behind Envoy and the sidecar, yours to try (examples/express)
	@node examples/express/run.js

test: ## everything: format, vet, lint, policies, unit and end-to-end tests with the race detector, the demo
	@tools/stage 'Envoy' tools/get-envoy
	@tools/stage 'Chromium' tools/get-chromium
	@tools/stage 'Node.js' tools/get-node
	@tools/stage 'Redis' tools/get-redis
	@tools/stage 'C compiler (the race detector needs one)' tools/c-compiler
	@tools/stage 'gofmt' tools/formatted
	@tools/stage 'go vet' go vet ./...
	@tools/stage 'golangci-lint (the first time it is built: a minute or two)' $(LINT) run
	@$(MAKE) --no-print-directory policies
	@tools/stage 'go test -race, end to end through Envoy and in a browser included' go test -race -count=1 -timeout 30m ./...
	@tools/stage 'what the race detector can not judge: allocations' go test -count=1 -run 'Alloc' ./internal/extauthz ./internal/policy ./internal/unary ./internal/check
	@$(MAKE) --no-print-directory test-lean
	@tools/stage 'demo' $(MAKE) --no-print-directory demo ARGS=--check
	@printf '\nEverything passed.\n'

test-kubernetes: envoy ## everything on a real Kubernetes of one node, in namespaces of its own (Linux, root; ARGS='-only webhook')
	@go run ./release -o .cache/release -version '$(VERSION)' -name localhost/authz:test -platforms "$$(go env GOARCH)"
	@go build -o .cache/bin/kubernetes ./test/kubernetes
	@cluster=$$(tools/get-kubernetes | tail -n 1) && [ -n "$$cluster" ] && .cache/bin/kubernetes -cluster "$$cluster" $(ARGS)

ci: test test-manifests test-kubernetes ## all tests, as CI runs them (Linux, root for the cluster)

test-short: ## unit tests and policy tests only: no Envoy, no race detector
	@$(MAKE) --no-print-directory policies
	@tools/stage 'go test -short' go test -short ./...

lint: ## go vet and golangci-lint
	@tools/stage 'go vet' go vet ./...
	@tools/stage 'golangci-lint' $(LINT) run

policies: ## opa fmt, check --strict and test with full coverage
	@tools/stage 'opa fmt' $(OPA) fmt --fail --list $(REGO)
	@tools/stage 'opa check --strict' $(OPA) check --strict --schema schemas/input.json $(REGO)
	@tools/stage 'opa test, coverage 100 %' tools/opa-test $(REGO)

.PHONY: test-manifests
test-manifests: ## what stands in k8s/, without a cluster: schemas, rules, dashboards (gets its tools once: minutes)
	@tools/stage 'kubeconform, kustomize, kube-score, promtool, helm' tools/get-manifest-tools
	@tools/stage 'k8s/' env MANIFEST_TOOLS=required go test -count=1 ./test/manifests

.PHONY: test-lean
test-lean: ## end to end once more: the lean transport, with remembered decisions (make test does it too)
	@tools/stage 'go test, end to end on the lean transport' \
		env AUTHZ_LISTEN_TRANSPORT=lean AUTHZ_POLICY_CACHE_SIZE=16MiB go test -count=1 -timeout 15m ./e2e

HOSTILE_TIME ?= 1m
.PHONY: hostile
hostile: ## hostile peers against the lean transport, HOSTILE_TIME (1m) each, with figures (make test does it with a second each)
	@tools/stage 'hostile peers, $(HOSTILE_TIME) each' \
		env HOSTILE_TIME=$(HOSTILE_TIME) go test -count=1 -v -timeout 5h -run TestHostilePeers ./test/transport

.PHONY: test-h2spec
test-h2spec: ## the lean transport against the HTTP/2 specification, by h2spec (make test does it too)
	@tools/stage 'h2spec' go test -count=1 -v -run TestH2Spec ./test/transport

format: ## gofmt and opa fmt
	gofmt -w $$(find . -path ./.cache -prune -o -name '*.go' -print)
	$(OPA) fmt --write $(REGO)

fuzz: ## every fuzz target for FUZZTIME (5m)
	@tools/fuzz $(FUZZTIME) $(PACKAGES)

.PHONY: campaign-cache
campaign-cache: ## decisions with and without the cache, compared 5,000,000 times over (REQUESTS=...): about an hour
	go test ./internal/policy -run 'TestCacheDiffers' -count=1 -v -timeout 24h -cache.requests=$(REQUESTS)

.PHONY: campaign-quotas
campaign-quotas: ## ten sidecars and one Redis for LOAD (2m), the whole log audited; ten million keys in one process
	@tools/stage 'Redis' tools/get-redis
	@tools/stage 'ten sidecars, one Redis' go test -count=1 -timeout 60m -v ./test/quotas -load.time $(or $(LOAD),2m)
	@tools/stage 'ten million keys' go test -timeout 60m -run xxx -bench BenchmarkKeys/10000000 -benchtime 1x ./internal/ratelimit

bench: build ## CPU of a check against a server that does nothing (ROUNDS=5, SHORT=1: a minute, ARGS='-o json')
	@go build -o .cache/bin/bench ./bench
	@.cache/bin/bench -rounds $(ROUNDS) $(if $(SHORT),-short) $(ARGS)

SOAK ?= 12000000
.PHONY: soak
soak: build ## SOAK checks (12 million) for each transport, decisions remembered: every answer right, memory flat
	@go build -o .cache/bin/bench ./bench
	@.cache/bin/bench -soak $(SOAK) $(ARGS)

clean: ## remove bin/ and .cache/
	rm -rf bin .cache
