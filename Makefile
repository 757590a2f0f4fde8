# The commands of this project. Each installs what it needs first, and says what that is.

release := $(or $(CARGO_TARGET_DIR),target)/release
# Engines have to be started by root.
as_root := $(if $(filter-out 0,$(shell id -u)),sudo env PATH="$$PATH",)

# How long each fuzzer runs.
SECONDS ?= 60
# Whose engines the images run in: the oldest that have to do, which this machine may have itself,
# and current ones.
codename := $(shell . /etc/os-release 2> /dev/null && echo $$VERSION_CODENAME)
oldest := $(if $(filter bookworm,$(codename)),host,bookworm)
releases := $(oldest) trixie

.PHONY: build setup test test-all test-vm demo docs bench fmt lint check-darwin fuzz conformance

build:
	cargo build --release

# What `make test` and `make demo` need.
setup:
	scripts/setup test

# Everything: unit and integration tests with this machine's engines, and the images in those of
# Debian's releases. A test that cannot run fails here; with `cargo test` it shows as ignored.
test:
	scripts/setup test
	NIX_IMAGE_TESTS=all cargo test --workspace
	cargo build --release
	$(as_root) python3 tests/driver --nix-image $(release)/nix-image $(releases:%=--release %)

# The same with sid as well, and the tests that start engines once more with current ones.
test-all: releases += sid
test-all: test test-engines-trixie test-engines-sid

test-engines-%:
	NIX_IMAGE_TESTS=all cargo test --test integration \
		--config 'target."cfg(all())".runner = "python3 tests/driver/release.py $*"' \
		-- containerd_api:: link:: load:: serve:: storage:: store::

# The same images in virtual machines of Debian's kernel and packages, without KVM as well.
# ARGS=--help tells what can be chosen.
test-vm:
	scripts/setup vm
	cargo build --release
	$(as_root) python3 tests/vm --nix-image $(release)/nix-image $(ARGS)

# An image built by real Nix, delivered by today's way and by nix-image, side by side.
demo:
	scripts/setup demo
	cargo build --profile quick
	scripts/demo $(or $(CARGO_TARGET_DIR),target)/quick/nix-image

# The documentation as a book, in target/book.
docs:
	scripts/setup docs
	mdbook build

# Whole images against other programs. ARGS=--help tells what can be chosen.
bench:
	scripts/setup bench
	cargo build --release
	python3 benches/suite/run.py $(ARGS)

# Each fuzzer for SECONDS, or some of them: TARGETS='conf image'.
fuzz:
	scripts/setup fuzz
	scripts/fuzz $(SECONDS) $(TARGETS)

# What other programs say of our images: the OCI conformance suite, crane, umoci and skopeo.
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

# Whether it compiles for macOS; it cannot be linked or run here.
check-darwin:
	scripts/setup lint
	scripts/check-darwin
