# The project's commands. Each first installs what it needs, and says what that is.

release := $(or $(CARGO_TARGET_DIR),target)/release
# Only root can start engines.
as_root := $(if $(filter-out 0,$(shell id -u)),sudo env PATH="$$PATH",)

# How long each fuzzer runs.
SECONDS ?= 60
# The engines to test with: the oldest supported ones (this machine's own, if it runs bookworm) and
# current ones.
codename := $(shell . /etc/os-release 2> /dev/null && echo $$VERSION_CODENAME)
oldest := $(if $(filter bookworm,$(codename)),host,bookworm)
releases := $(oldest) trixie

.PHONY: build setup test test-all test-vm demo docs bench fmt lint check-darwin fuzz conformance

build:
	cargo build --release

# Installs what `make test` and `make demo` need.
setup:
	scripts/setup test

# Everything: unit and integration tests with this machine's engines, and the images in the engines
# of Debian's releases. A test that cannot run fails here; with `cargo test` it is ignored.
test:
	scripts/setup test
	NIX_IMAGE_TESTS=all cargo test --workspace
	cargo build --release
	$(as_root) python3 tests/driver --nix-image $(release)/nix-image $(releases:%=--release %)

# The same with sid as well, and the tests that start engines again with the current releases.
test-all: releases += sid
test-all: test test-engines-trixie test-engines-sid

test-engines-%:
	NIX_IMAGE_TESTS=all cargo test --test integration \
		--config 'target."cfg(all())".runner = "python3 tests/driver/release.py $*"' \
		-- containerd_api:: link:: load:: serve:: storage:: store::

# The same images in virtual machines with Debian's kernel and packages, with or without KVM.
# ARGS=--help lists the options.
test-vm:
	scripts/setup vm
	cargo build --release
	$(as_root) python3 tests/vm --nix-image $(release)/nix-image $(ARGS)

# An image built by real Nix, delivered the usual way and by nix-image, side by side.
demo:
	scripts/setup demo
	cargo build --profile quick
	scripts/demo $(or $(CARGO_TARGET_DIR),target)/quick/nix-image

# The documentation as a book, in target/book.
docs:
	scripts/setup docs
	mdbook build

# Whole images, compared with other programs. ARGS=--help lists the options.
bench:
	scripts/setup bench
	cargo build --release
	python3 benches/suite/run.py $(ARGS)

# Each fuzzer for SECONDS, or only some of them: TARGETS='conf image'.
fuzz:
	scripts/setup fuzz
	scripts/fuzz $(SECONDS) $(TARGETS)

# Checks our images with the OCI conformance suite, crane, umoci and skopeo.
conformance:
	scripts/setup conformance
	cargo build
	scripts/conformance $(or $(CARGO_TARGET_DIR),target)/debug/nix-image

fmt:
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml

lint:
	scripts/setup lint
	scripts/lint

# Checks that the program compiles for macOS; it cannot be linked or run here.
check-darwin:
	scripts/setup lint
	scripts/check-darwin
