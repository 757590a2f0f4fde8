"""Runs the scripts of tests/scripts without a virtual machine.

This machine's Nix builds the images from this machine's programs (nix/testing), in
a private store below --state. Each engine is started in a temporary folder and
stopped again: this machine's engines, or with --release those of a Debian release.
Needs root.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import arguments as wrong_arguments
import engines
import evaluated
import failures
import flake
import images
import index
import release

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(prog="tests/driver", description=__doc__)
    parser.add_argument("--engine", action="append", choices=engines.ENGINES, help="default: all")
    parser.add_argument(
        "--release",
        action="append",
        choices=["host", *release.RELEASES],
        help="the release with the engines; may be repeated; default: host, this machine",
    )
    parser.add_argument("--nix-image", type=pathlib.Path, default=ROOT / "target/release/nix-image")
    parser.add_argument("--state", type=pathlib.Path, default=ROOT / "target/driver")
    parser.add_argument("script", nargs="*", help="default: all that suit the engine")
    arguments = parser.parse_args()

    started = time.monotonic()
    store = images.Store(arguments.state.resolve(), arguments.nix_image.resolve())
    built = store.built()
    print(f"built {len(built['images'])} images in {time.monotonic() - started:.1f} s", flush=True)

    started = time.monotonic()
    flake.check(store)
    print(f"evaluated the flake in {time.monotonic() - started:.1f} s", flush=True)

    started = time.monotonic()
    scripts = evaluated.check(store)
    print(f"checked {scripts} scripts in {time.monotonic() - started:.1f} s", flush=True)

    started = time.monotonic()
    cases = wrong_arguments.check(store, ROOT)
    print(f"rejected {cases} wrong arguments in {time.monotonic() - started:.1f} s", flush=True)

    started = time.monotonic()
    cases = failures.check(store, ROOT)
    print(f"saw {cases} images fail to build in {time.monotonic() - started:.1f} s", flush=True)

    started = time.monotonic()
    index.check(store)
    print(f"pushed an index in {time.monotonic() - started:.1f} s", flush=True)

    file = arguments.state.resolve() / "built.json"
    file.write_text(json.dumps(built))
    program = ROOT / "tests/driver/scripts.py"
    chosen = [word for name in arguments.engine or [] for word in ("--engine", name)]
    command = ["python3", str(program), *chosen, str(file), *arguments.script]
    failed = []
    for name in arguments.release or ["host"]:
        print(f"\nengines of {name}", flush=True)
        started = time.monotonic()
        if name == "host":
            status = subprocess.run(command, timeout=release.RUN_LIMIT).returncode
        else:
            status = release.run(name, command)
        if status != 0:
            failed.append(name)
        print(f"\n{name}: {time.monotonic() - started:.0f} s", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    print("all passed")


if __name__ == "__main__":
    main()
