# Husk: `make help` lists the targets. On a fresh Debian machine with Go, gcc, make and git, as root, demo, test and the
# benchmarks install what they lack; the kernel targets say which packages they need.

GO       ?= go
BIN      := bin
LDFLAGS  := -s -w
BUILD    := CGO_ENABLED=0 $(GO) build -trimpath -ldflags='$(LDFLAGS)'
TOOL     := $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 4s

.DEFAULT_GOAL := help
.PHONY: help build lab demo test lint unit fuzz cross e2e kernel kernel-verify bench-boot bench-vmm bench-virtio deps clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: $(BIN)/husk ## build bin/husk, with the guest inside

lab: $(BIN)/kvmlab ## build bin/kvmlab: run commands where there is a real, nested KVM

demo: build ## boot a virtual machine and run a command in it
	@sh scripts/demo.sh

test: ## run every check and test; installs what they need
	@sh scripts/test.sh

lint: ## formatting, vet, staticcheck, the house plan
	@sh scripts/lint.sh

unit: build ## unit tests with the race detector
	$(GO) run ./internal/testreport -- -race ./...

fuzz: ## run every fuzz target for FUZZTIME each (default 4s)
	@FUZZTIME=$(FUZZTIME) sh scripts/fuzz.sh

cross: ## build and vet for every system
	@sh scripts/cross.sh

e2e: build lab ## boot real kernels: on this machine's KVM if it is a good one, else in the lab
	@sh scripts/e2e.sh

kernel: ## rebuild the guest kernel from the distribution's source package
	sh guest/kernel/build.sh
	cd guest/kernel && sha256sum bzImage >SHA256SUMS

kernel-verify: ## rebuild the guest kernel and compare it with the committed one
	sh guest/kernel/verify.sh

bench-boot: build lab ## boot time beside QEMU
	@sh scripts/bench.sh boot

bench-vmm: build lab ## memory, start-up time, threads and wake-ups of the VMM
	@sh scripts/bench.sh vmm

bench-virtio: ## block requests a second through the device beside plain pread; allocations on every queue path
	@sh scripts/bench.sh virtio

deps: ## install the Debian packages that tests and the lab need, where they are missing
	@sh scripts/deps.sh

clean: ## remove what was built
	rm -rf $(BIN) build

$(BIN)/husk: FORCE
	@mkdir -p $(BIN)
	$(GO) generate ./guest/initramfs
	$(BUILD) -o $@ ./cmd/husk

$(BIN)/kvmlab: FORCE
	@mkdir -p $(BIN)
	$(BUILD) -o $@ ./cmd/kvmlab
