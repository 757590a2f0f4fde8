"""NixOS' own test driver, from nixpkgs, with our machines.

It needs a newer Python than many machines have, so it runs with the programs of a Debian release.
As a program, this is what runs there.
"""

import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "driver"))

import evaluated  # noqa: E402
import release  # noqa: E402

RELEASE = "trixie"
PACKAGES = [
    *("mypy", "ptpython", "pyflakes3", "python3", "python3-colorama", "python3-ipython"),
    *("python3-junit.xml", "python3-typing-extensions", "qemu-system-x86", "qemu-utils"),
]
MODULES = pathlib.Path("/usr/local/lib/python3.13/dist-packages")
# A stub for a debugger that is not used, and that Debian has no package of.
REMOTE_PDB = "class RemotePdb:\n    pass\n"


def run(nixpkgs, script, root, start, limit):
    """Whether the script passes. `start` is a program that starts the machine."""
    folder = start.parent
    (folder / "test-script").write_text(script)
    lib = nixpkgs / "nixos/lib"
    if not (lib / "test-driver/src/test_driver").exists():
        sys.exit(f"{nixpkgs} is not a nixpkgs tree: nixos/lib/test-driver/src is missing")
    command = [
        *("sh", "-ec", 'mkdir /nix; mount --bind "$1" /nix; shift; exec "$@"', "sh"),
        root / "nix",
        *("python3", __file__, lib, folder, str(limit)),
    ]
    shared = [HERE.parents[1], lib, folder, root.parent, release.cache()]
    tree = release.tree(RELEASE, sorted(PACKAGES), "nixos-driver")
    # The driver has its own limit, but it does not apply while a machine starts.
    return release.enter(tree, shared, list(map(str, command)), limit + 60) == 0


def inside(lib, folder, limit):
    shutil.copytree(lib / "test-driver/src/test_driver", MODULES / "test_driver")
    (MODULES / "remote_pdb.py").write_text(REMOTE_PDB)
    os.chdir(folder)
    script = folder / "test-script"
    problems = lint(lib, script.read_text())
    if problems:
        sys.exit(f"NixOS' driver would reject the script:\n{problems}")
    os.environ |= {
        "LOGFILE": "/dev/null",
        "PYTHONUNBUFFERED": "1",
        "XDG_RUNTIME_DIR": str(folder),
        "globalTimeout": limit,
        "startScripts": str(folder / "run-machine-vm"),
        "testScript": str(script),
        "vlans": "",
    }
    main = "import test_driver; test_driver.main()"
    os.execvp("python3", ["python3", "-c", main, "-o", str(folder)])


def lint(lib, script):
    """The checks of nixos/lib/testing/driver.nix, with the driver's own types and names."""
    symbols = "import test_driver; test_driver.generate_driver_symbols()"
    subprocess.run(["python3", "-c", symbols], check=True, stdout=subprocess.DEVNULL)
    names = ["machine", *pathlib.Path("driver-symbols").read_text().split(",")]
    types = (lib / "test-script-prepend.py").read_text() + "machine: Machine;\n"
    return evaluated.lint(script, types, names, {})


if __name__ == "__main__":
    inside(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3])
