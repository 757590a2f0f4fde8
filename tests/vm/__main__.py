"""Runs the VM tests of nix/tests in virtual machines of Debian's kernel and packages.

As for tests/driver, Nix evaluates the scripts and builds the images; no NixOS is built. With
--nixos-driver, NixOS' own test driver runs the scripts in these machines. Needs root.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "tests/driver"))

import evaluated  # noqa: E402
import guest  # noqa: E402
import images  # noqa: E402
import qemu  # noqa: E402


def main():
    arguments = parse()
    if os.geteuid() != 0:
        sys.exit("tests/vm: only root can create the machines")
    qemu.check_host()

    started = time.monotonic()
    store = images.Store(arguments.state.resolve(), arguments.nix_image.resolve())
    file = evaluated.build(store)
    tests = evaluated.read(file)
    say("evaluated the scripts and built their images", started)
    if arguments.compare:
        differences = evaluated.compare(tests, arguments.compare, arguments.nix_instantiate)
        print(differences or f"all {len(tests)} scripts are the same")
        sys.exit(1 if differences else 0)

    started = time.monotonic()
    machine = guest.make(arguments.release)
    accelerator = arguments.accelerator or qemu.accelerator(machine)
    say(f"have a machine of {arguments.release}, run by {accelerator},", started)
    with tempfile.TemporaryDirectory(dir=arguments.state, prefix="vm-") as folder:
        prepared = pathlib.Path(folder, "prepared.json")
        nixpkgs = arguments.nixos_driver
        what = {
            "accelerator": accelerator,
            "guest": str(machine),
            "limit": arguments.limit,
            "nixpkgs": nixpkgs and str(nixpkgs.resolve()),
            "root": str(store.root),
            "store": str(guest.write_store(store, file, pathlib.Path(folder))),
            "tests": tests,
        }
        prepared.write_text(json.dumps(what))
        names = arguments.test or list(guest.KERNEL)
        # The slowest test starts first.
        names.sort(key=list(guest.KERNEL).index)
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            results = pool.map(lambda name: run(name, prepared), names)
            failed = [name for name, passed in zip(names, results) if not passed]
    if failed:
        sys.exit("\nfailed: " + ", ".join(failed))
    print("\nall passed")


def say(what, started):
    print(f"{what} in {time.monotonic() - started:.0f} s", flush=True)


def parse():
    parser = argparse.ArgumentParser(prog="tests/vm", description=__doc__)
    parser.add_argument("--release", choices=guest.RELEASES, default="trixie")
    parser.add_argument("--nix-image", type=pathlib.Path, default=ROOT / "target/release/nix-image")
    parser.add_argument("--state", type=pathlib.Path, default=ROOT / "target/driver")
    parser.add_argument(
        "--accelerator",
        choices=qemu.PROCESSORS,
        help="default: kvm if a machine boots with it, tcg otherwise",
    )
    parser.add_argument(
        "--nixos-driver",
        type=pathlib.Path,
        metavar="NIXPKGS",
        help="run the scripts with the test driver of this nixpkgs tree",
    )
    parser.add_argument(
        "--compare",
        type=pathlib.Path,
        metavar="NIXPKGS",
        help="run nothing, but compare the scripts with those that this nixpkgs tree makes",
    )
    parser.add_argument(
        "--nix-instantiate", default="nix-instantiate", help="one that can evaluate NIXPKGS"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count(),
        help="how many tests to run at the same time; default: one for each core",
    )
    parser.add_argument("--limit", type=int, default=3600, help="time limit of a test, in seconds")
    parser.add_argument("test", nargs="*", help=f"of {', '.join(guest.KERNEL)}; default: all")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        parser.error("--jobs must be at least 1")
    for name in arguments.test:
        if name not in guest.KERNEL:
            parser.error(f"there is no test {name} for these machines")
    return arguments


def run(name, prepared):
    """Whether a test passes. Its output is printed with its name before each line."""
    started = time.monotonic()
    # Killed when this process ends, and then so is its machine.
    command = qemu.with_us([sys.executable, "-u", HERE / "one.py", prepared, name])
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout:
            print(f"{name}: {line.strip()}", flush=True)
    say(f"{name} has {'failed' if process.returncode else 'passed'}", started)
    return process.returncode == 0


if __name__ == "__main__":
    main()
