"""Runs one of the tests that __main__.py has prepared, in a process of its own.

usage: one.py PREPARED NAME
"""

import json
import pathlib
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "driver"))

import guest  # noqa: E402
import nixos_driver  # noqa: E402
import qemu  # noqa: E402
from console import VirtualMachine  # noqa: E402
from machine import Failure, time_limit  # noqa: E402


def main():
    prepared = json.loads(pathlib.Path(sys.argv[1]).read_text())
    name = sys.argv[2]
    test = prepared["tests"][name]
    # Short, because the paths of sockets may not be long.
    with tempfile.TemporaryDirectory(prefix="nix-image-", dir="/var/tmp") as state:
        start = pathlib.Path(state, "run-machine-vm")
        qemu.write_start_script(
            start,
            pathlib.Path(prepared["guest"]),
            prepared["store"],
            guest.KERNEL[name],
            test["memorySize"],
            prepared["accelerator"],
        )
        passed = run(prepared, test["testScript"], start)
    sys.exit(0 if passed else 1)


def run(prepared, script, start):
    """Whether the script passes."""
    root, limit = prepared["root"], prepared["limit"]
    if nixpkgs := prepared["nixpkgs"]:
        return nixos_driver.run(pathlib.Path(nixpkgs), script, pathlib.Path(root), start, limit)
    machine = VirtualMachine(start, start.parent)
    names = {
        "machine": machine,
        "start_all": machine.start,
        "subtest": machine.subtest,
        # The script reads the store that the machine has.
        "open": lambda path: open(f"{root}{path}"),
    }
    try:
        with time_limit(limit):
            exec(compile(script, "testScript", "exec"), names)
            machine.shutdown()
    except (Failure, AssertionError) as error:
        print(f"{machine.current}: {error}\n{machine.last_lines()}", flush=True)
        return False
    finally:
        machine.kill()
    return True


if __name__ == "__main__":
    main()
