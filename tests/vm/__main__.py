"""Runs the VM tests of nix/tests in virtual machines of Debian's kernel and packages.

As for tests/driver, Nix evaluates the scripts and builds the images; no NixOS is built. With
--nixos-driver, NixOS' own test driver runs the scripts in these machines. Needs root.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/driver"))

import evaluated  # noqa: E402
import guest  # noqa: E402
import images  # noqa: E402
import nixos_driver  # noqa: E402
import qemu  # noqa: E402
from console import VirtualMachine  # noqa: E402
from machine import Failure, time_limit  # noqa: E402


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
    failed = []
    with tempfile.TemporaryDirectory(dir=arguments.state, prefix="vm-") as folder:
        disk = guest.write_store(store, file, pathlib.Path(folder))
        for name in arguments.test or guest.KERNEL:
            print(f"\n{name}", flush=True)
            started = time.monotonic()
            # A short path, because the paths of sockets are limited in length.
            with tempfile.TemporaryDirectory(prefix="nix-image-", dir="/var/tmp") as state:
                start = pathlib.Path(state, "run-machine-vm")
                memory = tests[name]["memorySize"]
                options = guest.KERNEL[name]
                qemu.write_start_script(start, machine, disk, options, memory, accelerator)
                passed = run(arguments, tests[name]["testScript"], store, start)
            say(f"{name} has {'passed' if passed else 'failed'}", started)
            failed += [] if passed else [name]
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
    parser.add_argument("--limit", type=int, default=3600, help="time limit of a test, in seconds")
    parser.add_argument("test", nargs="*", help=f"of {', '.join(guest.KERNEL)}; default: all")
    arguments = parser.parse_args()
    for name in arguments.test:
        if name not in guest.KERNEL:
            parser.error(f"there is no test {name} for these machines")
    return arguments


def run(arguments, script, store, start):
    """Whether the script passes."""
    if arguments.nixos_driver:
        return nixos_driver.run(arguments.nixos_driver, script, store, start, arguments.limit)
    machine = VirtualMachine(start, start.parent)
    names = {
        "machine": machine,
        "start_all": machine.start,
        "subtest": machine.subtest,
        # The script reads the machine's store.
        "open": lambda path: open(store.here(path)),
    }
    try:
        with time_limit(arguments.limit):
            exec(compile(script, "testScript", "exec"), names)
            machine.shutdown()
    except (Failure, AssertionError) as error:
        print(f"  {machine.current}: {error}\n{machine.last_lines()}", flush=True)
        return False
    finally:
        machine.kill()
    return True


if __name__ == "__main__":
    main()
