"""Starts the engines on PATH and runs scripts of tests/scripts with them.

The first argument is a file that describes what the driver has built.
"""

import argparse
import contextlib
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import engines
from images import stream
from local import LocalMachine
from machine import Failure, time_limit

SCRIPTS = pathlib.Path(__file__).resolve().parents[1] / "scripts"
# Time limit of a script in seconds, as in NixOS' driver.
LIMIT = 3600
# Scripts that fill the disk of the engine, which therefore gets one of its own, of this size.
FILL_THE_DISK = ["broken-loads"]
SMALL_DISK = "512m"


@contextlib.contextmanager
def small_disk(parent):
    """A folder whose file system may be filled."""
    with tempfile.TemporaryDirectory(prefix="disk-", dir=parent) as folder:
        size = f"size={SMALL_DISK}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
        try:
            yield pathlib.Path(folder)
        finally:
            # What still uses it keeps it until that ends.
            subprocess.run(["umount", "--lazy", folder], check=True)


def run(script, machine, known):
    names = {"machine": machine, "subtest": machine.subtest, **known}
    for path in [SCRIPTS / "common.py", SCRIPTS / f"{script}.py"]:
        exec(compile(path.read_text(), str(path), "exec"), names)


def unit(built, folder):
    """The command of a unit of the NixOS module, adapted to this machine.

    The text is the module's, but the programs it calls are this machine's, and nix-image is told
    where the store is.
    """
    programs = folder / "programs"
    programs.mkdir()
    nix_image = programs / "nix-image"
    nix_image.write_text(f"""#!/bin/sh
case "$1 $2" in
  load* | inspect* | 'store add') exec {built["nix_image"]} "$@" --store-root {built["root"]} ;;
esac
exec {built["nix_image"]} "$@"
""")
    nix_image.chmod(0o755)
    return f"PATH={programs}:$PATH bash {built['unit']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("built", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--engine", action="append", choices=engines.ENGINES)
    parser.add_argument("script", nargs="*")
    arguments = parser.parse_args()
    state = arguments.built.resolve().parent
    built = json.loads(arguments.built.read_text())

    failed = []
    for name in arguments.engine or engines.ENGINES:
        engine = engines.ENGINES[name]
        if why := engine.missing():
            print(f"\n{name}: skipped, as {why}", flush=True)
            continue
        for script in arguments.script or engine.scripts:
            disk = small_disk if script in FILL_THE_DISK else contextlib.nullcontext
            with (
                disk(state) as data,
                engine(data=data) as running,
                tempfile.TemporaryDirectory(dir=data) as scratch,
            ):
                os.chmod(scratch, 0o755)
                version = ".".join(map(str, engine.version()))
                print(f"\n{name} {version}: {script}", flush=True)
                machine = LocalMachine(running)
                as_user = getattr(running, "as_user", None)
                known = {
                    "engine": f"{as_user} {engine.command}" if as_user else engine.command,
                    "as_user": f"{as_user} " if as_user else "",
                    "layers_are": [running.layers_are()],
                    "scratch": scratch,
                    "image_id_is_config": engine.image_id_is_config,
                    "unpacks": running.unpacks(),
                    "images": built["images"],
                    "stream": functools.partial(stream, built["nix_image"], built["root"]),
                    "nix_image": built["nix_image"],
                    "registry": "docker-registry",
                    "store": built["store"],
                    "unit_command": unit(built, running.folder),
                }
                try:
                    with time_limit(LIMIT):
                        run(script, machine, known)
                except (Failure, AssertionError) as error:
                    print(f"    {error}", flush=True)
                    failed.append(f"{name}: {script}: {machine.current}")
    if failed:
        sys.exit("\nfailed: " + "\n        ".join(failed))


if __name__ == "__main__":
    main()
