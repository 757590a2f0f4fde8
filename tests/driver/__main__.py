"""Runs the scripts of tests/scripts without a virtual machine.

The images are built by this machine's Nix from this machine's programs
(nix/testing), in a store of their own below --state. Each engine is started
for the purpose, in a temporary folder, and stopped again. Needs root.
"""

import argparse
import pathlib
import sys
import time

import arguments as wrong_arguments
import engines
import failures
import flake
import images
import index
from machine import Failure, Machine

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tests/scripts"


def run(script, machine, known):
    names = {"machine": machine, "subtest": machine.subtest, **known}
    for path in [SCRIPTS / "common.py", SCRIPTS / f"{script}.py"]:
        exec(compile(path.read_text(), str(path), "exec"), names)


def main():
    parser = argparse.ArgumentParser(prog="tests/driver", description=__doc__)
    parser.add_argument("--engine", action="append", choices=engines.ENGINES, help="default: all")
    parser.add_argument("--nix-image", type=pathlib.Path, default=ROOT / "target/release/nix-image")
    parser.add_argument("--state", type=pathlib.Path, default=ROOT / "target/driver")
    parser.add_argument("script", nargs="*", help="default: those that fit the engine")
    arguments = parser.parse_args()

    started = time.monotonic()
    store = images.Store(arguments.state.resolve(), arguments.nix_image.resolve())
    table = store.table()
    print(f"built {len(table)} images in {time.monotonic() - started:.1f} s", flush=True)

    started = time.monotonic()
    flake.check(store)
    print(f"evaluated the flake in {time.monotonic() - started:.1f} s", flush=True)

    started = time.monotonic()
    cases = wrong_arguments.check(store, ROOT)
    print(f"refused {cases} wrong arguments in {time.monotonic() - started:.1f} s", flush=True)

    started = time.monotonic()
    cases = failures.check(store, ROOT)
    print(f"failed to build {cases} images in {time.monotonic() - started:.1f} s", flush=True)

    started = time.monotonic()
    index.check(store)
    print(f"pushed an index in {time.monotonic() - started:.1f} s", flush=True)

    failed = []
    for name in arguments.engine or engines.ENGINES:
        engine = engines.ENGINES[name]
        for script in arguments.script or engine.scripts:
            with engine() as running:
                machine = Machine(running.environment())
                known = {
                    "engine": engine.command,
                    "image_id_is_config": True,
                    "unpacks": running.unpacks(),
                    "images": table,
                    "stream": store.stream,
                    "nix_image": str(store.nix_image),
                    "registry": "docker-registry",
                    "store": str(store.path),
                    "unit_command": store.unit(running.folder),
                }
                print(f"\n{name}: {script}", flush=True)
                try:
                    run(script, machine, known)
                except (Failure, AssertionError) as error:
                    print(f"    {error}", flush=True)
                    failed.append(f"{name}: {script}: {machine.current}")
    if failed:
        sys.exit("\nfailed: " + "\n        ".join(failed))
    print("\nall passed")


if __name__ == "__main__":
    main()
