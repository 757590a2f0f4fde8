"""Evaluates the flake by this machine's Nix, against a nixpkgs of the host's programs."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

NIXPKGS = """{
  outputs = _: {
    lib = (import ./nix/testing/nixpkgs.nix { host = ./host; system = "x86_64-linux"; }).lib;
  };
}
"""
DEFAULT = "{ system, overlays }: import ./nix/testing/nixpkgs.nix { host = ./host; inherit system overlays; }\n"

IMAGE = """functions: (functions.buildLayeredImage {
  name = "evaluated";
  contents = [ functions.fakeNss ];
}).drvPath"""


def check(store):
    """Each output is evaluated down to its derivation, for both Linux systems."""
    with tempfile.TemporaryDirectory() as folder:
        ours = pathlib.Path(folder, "ours")
        nixpkgs = pathlib.Path(folder, "nixpkgs")
        for place in [ours, nixpkgs]:
            shutil.copytree(ROOT / "nix", place / "nix")
        for name in ["flake.nix", "flake.lock", "Cargo.toml", "Cargo.lock"]:
            shutil.copy(ROOT / name, ours)
        for name in ["src", "tests", "examples"]:
            shutil.copytree(ROOT / name, ours / name)
        shutil.copytree(store.host, nixpkgs / "host")
        (nixpkgs / "flake.nix").write_text(NIXPKGS)
        (nixpkgs / "default.nix").write_text(DEFAULT)

        def nix(*command):
            done = subprocess.run(
                [
                    *("nix", "--extra-experimental-features", "nix-command flakes", *command),
                    *("--override-input", "nixpkgs", f"path:{nixpkgs}", "--no-write-lock-file"),
                ],
                env=store.environment(),
                capture_output=True,
                text=True,
            )
            if done.returncode != 0:
                sys.exit(f"the flake does not evaluate:\n{done.stderr}")
            return done.stdout

        outputs = json.loads(nix("flake", "show", "--json", f"path:{ours}"))
        for system in ["x86_64-linux", "aarch64-linux"]:
            assert "default" in outputs["packages"][system], outputs["packages"]
            checks = outputs["checks"][system]
            for name in ["identical-to-nixpkgs", "vm-docker", "vm-podman", "vm-containerd"]:
                assert name in checks, checks
            drv = nix(
                "eval", "--raw", f"path:{ours}#legacyPackages.{system}", "--apply", IMAGE
            )
            assert drv.endswith("-evaluated.tar.gz.drv"), drv
