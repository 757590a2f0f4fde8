# The commands of this project. Each installs what it needs first, and says what that is.

release := $(or $(CARGO_TARGET_DIR),target)/release
# Engines have to be started by root.
as_root := $(if $(filter-out 0,$(shell id -u)),sudo env PATH="$$PATH",)

# How long each fuzzer runs.
SECONDS ?= 60

.PHONY: build setup test demo docs bench fmt lint check-darwin fuzz conformance

build:
	cargo build --release

# What `make test` and `make demo` need.
setup:
	scripts/setup test

# Everything: unit and integration tests, and the images in real engines. A test that cannot run
# fails here; with `cargo test` it shows as ignored.
test:
	scripts/setup test
	NIX_IMAGE_TESTS=all cargo test --workspace
	cargo build --release
	$(as_root) python3 tests/driver --nix-image $(release)/nix-image

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
