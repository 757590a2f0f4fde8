"""The scripts of the VM tests, evaluated by Nix from nix/tests."""

import difflib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
# Time limit of a check, in seconds.
LIMIT = 10 * 60

# The names that NixOS' driver gives a script, as far as ours use them.
NAMES = {
    "start_all": "Callable[[], None]",
    "subtest": "Callable[[str], ContextManager[None]]",
    "machine": "Machine",
}
TYPES = "from typing import Callable, ContextManager\nfrom machine import Machine\n" + "".join(
    f"{name}: {kind}\n" for name, kind in NAMES.items()
)


def build(store):
    """The file that describes the tests. Everything that they refer to is then in the store."""
    return store.build(ROOT / "nix/testing/vm-scripts.nix")


def read(file):
    """For each test: testScript, and memorySize and diskSize in MiB."""
    return json.loads(file.read_text())


def check(store):
    """The checks of a script by NixOS' driver before it runs."""
    tests = read(build(store))
    for name, test in tests.items():
        problems = lint(test["testScript"], TYPES, NAMES, {"MYPYPATH": str(HERE)})
        if problems:
            sys.exit(f"the script of nix/tests/{name}.nix:\n{problems}")
    return len(tests)


def lint(script, types, names, environment):
    """The output of mypy and pyflakes, with the options that NixOS' driver gives them."""
    with tempfile.TemporaryDirectory() as folder:
        typed = pathlib.Path(folder, "testScriptWithTypes")
        typed.write_text(types + script)
        plain = pathlib.Path(folder, "test-script")
        plain.write_text(script)
        said = ""
        for command in [
            [*("mypy", "--no-implicit-optional", "--pretty", "--no-color-output", typed)],
            [shutil.which("pyflakes3") or "pyflakes", plain],
        ]:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, **environment, "PYFLAKES_BUILTINS": ",".join(names)},
                capture_output=True,
                text=True,
                timeout=LIMIT,
            )
            if done.returncode != 0:
                said += done.stdout + done.stderr
        return said


def compare(tests, nixpkgs, nix_instantiate):
    """The differences from the scripts that NixOS' driver gets with this nixpkgs, but for paths.

    This needs a Nix that can read that nixpkgs.
    """
    pkgs = f"import {nixpkgs.resolve()} {{ overlays = [ (import {ROOT}/nix/overlay.nix) ]; }}"
    made = f"import {ROOT}/nix/testing/vm-tests.nix {{ pkgs = {pkgs}; }}"
    names = " ".join(f'"{name}"' for name in tests)
    expression = f"map (name: ({made}).${{name}}.config.testScriptString) [ {names} ]"
    done = subprocess.run(
        [nix_instantiate, "--eval", "--strict", "--json", "--expr", expression],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    if done.returncode != 0:
        sys.exit(f"{nix_instantiate} fails:\n{done.stderr}")
    said = ""
    for (name, test), script in zip(tests.items(), json.loads(done.stdout)):
        ours, theirs = (
            re.sub("/nix/store/[a-z0-9]{32}-[^/\"' ]*", "STORE-PATH", text).splitlines(True)
            for text in [test["testScript"], script]
        )
        said += "".join(difflib.unified_diff(theirs, ours, f"nixpkgs/{name}", f"tests/vm/{name}"))
    return said
