"""Builds the images with the real Nix, in a chroot store that needs no /nix."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Store:
    def __init__(self, state, nix_image, more_programs=()):
        self.nix_image = nix_image
        self.root = state / "nix"
        self.path = self.root / "nix/store"
        self.host = state / "host"
        state.mkdir(parents=True, exist_ok=True)
        programs = (ROOT / "nix/testing/programs").read_text().split()
        binaries = [nix_image, nix_image.with_name("stream-layered-image")]
        subprocess.run(
            [ROOT / "nix/testing/collect-programs", self.host, *programs, *more_programs, *binaries],
            check=True,
        )

    def environment(self):
        return dict(
            os.environ,
            NIX_REMOTE=f"local?root={self.root}",
            # No network, a time limit of each build in seconds, and no other settings than these.
            NIX_CONF_DIR="/nonexistent",
            NIX_USER_CONF_FILES="",
            NIX_CONFIG="substituters =\nbuild-users-group =\nmax-jobs = auto\nsandbox = true\ntimeout = 900",
        )

    def build(self, *arguments):
        """The path that `nix-build` prints, as seen from this machine."""
        done = subprocess.run(
            ["nix-build", "--no-out-link", "--arg", "host", str(self.host), *arguments],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode != 0:
            sys.exit(f"nix-build failed:\n{done.stderr}")
        return self.here(done.stdout.strip())

    def here(self, path):
        return pathlib.Path(f"{self.root}{path}")

    def closure(self, file):
        """The paths that a built file refers to, by their names in the store."""
        path = f"/{file.relative_to(self.root)}"
        return subprocess.run(
            ["nix-store", "--query", "--requisites", path],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

    def built(self):
        """What the scripts need to know, as plain values."""
        built = self.build(ROOT / "nix/testing", "-A", "testImages.table")
        unit = self.build(ROOT / "nix/testing", "-A", "moduleUnit")
        return {
            "images": {name: self.entry(i) for name, i in json.loads(built.read_text()).items()},
            "nix_image": str(self.nix_image),
            "root": str(self.root),
            "store": str(self.path),
            "unit": f"{unit}/bin/nix-image-unit",
        }

    def entry(self, image):
        entry = dict(image)
        # A one-layer image has no conf.
        if image["conf"]:
            conf = self.here(image["conf"])
            entry |= {"conf": json.loads(conf.read_text()), "confFile": str(conf)}
        if image["isProgram"]:
            # The program says /nix/store, which only exists in the chroot.
            entry["archive"] = entry["program"] = f"chroot {self.root} {image['file']}"
        else:
            entry["archive"] = f"cat {self.here(image['file'])}"
        return entry


def stream(nix_image, root, conf):
    """The command that prints the archive of a conf."""
    return f"{nix_image} stream {conf} --store-root {root}"
