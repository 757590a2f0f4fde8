# The commands of this project. Each does its own set-up.

release := $(or $(CARGO_TARGET_DIR),target)/release
# Engines have to be started by root.
as_root := $(if $(filter-out 0,$(shell id -u)),sudo env PATH="$$PATH",)

.PHONY: build test demo bench fmt lint check-darwin

build:
	cargo build --release

# Everything: unit and integration tests, and the images in real engines. A test that cannot run
# fails here; with `cargo test` it shows as ignored.
test:
	scripts/setup test
	NIX_IMAGE_TESTS=all cargo test --workspace
	cargo build --release
	$(as_root) python3 tests/driver --nix-image $(release)/nix-image

# An image built by real Nix, streamed into an engine and run.
demo:
	scripts/setup demo
	cargo build --release
	scripts/demo $(release)/nix-image

# Whole images against other programs. ARGS=--help tells what can be chosen.
bench:
	scripts/setup bench
	cargo build --release
	python3 benches/suite/run.py $(ARGS)

fmt:
	cargo fmt --all

lint:
	scripts/setup lint
	scripts/lint

# Whether it compiles for macOS; it cannot be linked or run here.
check-darwin:
	scripts/setup lint
	scripts/check-darwin
