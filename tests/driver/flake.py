"""Evaluates the flake with this machine's Nix, against a nixpkgs of the host's programs."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

SYSTEMS = ["x86_64-linux", "aarch64-linux", "x86_64-darwin", "aarch64-darwin"]

NIXPKGS = """{
  outputs = _: rec {
    lib = legacyPackages.x86_64-linux.lib;
    legacyPackages = builtins.listToAttrs (map (system: {
      name = system;
      value = import ./. { inherit system; };
    }) [ SYSTEMS ]);
  };
}
""".replace("SYSTEMS", " ".join(f'"{system}"' for system in SYSTEMS))
DEFAULT = """{ system, overlays ? [ ] }:
import ./nix/testing/nixpkgs.nix { host = ./host; path = ./.; inherit system overlays; }
"""

IMAGE = """functions: (functions.buildLayeredImage {
  name = "evaluated";
  contents = [ functions.fakeNss ];
}).drvPath"""
FOR_PKGS = f'lib: ({IMAGE}) (lib.forPkgs (import NIXPKGS {{ system = "SYSTEM"; }}))'
# A newer Nix runs the ones that need nixpkgs' own expressions: see CONTRIBUTING.md.
EVALUATED = ["evaluation-multi-arch", "evaluation-override", "evaluation-platforms"]
FEATURES = ["--extra-experimental-features", "nix-command flakes"]


class Nix:
    """This machine's Nix, with the small nixpkgs instead of the real one."""

    def __init__(self, store, nixpkgs):
        self.store = store
        self.nixpkgs = nixpkgs

    def run(self, *command):
        verbs = 2 if command[0] == "flake" else 1
        return subprocess.run(
            [
                *("nix", *FEATURES, *command[:verbs]),
                *("--override-input", "nixpkgs", f"path:{self.nixpkgs}", "--no-write-lock-file"),
                # Otherwise, the registry would be looked up on the network.
                *("--option", "flake-registry", f"{self.nixpkgs}/registry.json"),
                *command[verbs:],
            ],
            env=self.store.environment(),
            capture_output=True,
            text=True,
            errors="replace",
        )

    def __call__(self, *command):
        done = self.run(*command)
        if done.returncode != 0:
            sys.exit(f"nix {' '.join(command)} fails:\n{done.stderr}")
        return done.stdout


def check(store):
    with tempfile.TemporaryDirectory() as folder:
        ours = pathlib.Path(folder, "ours")
        nixpkgs = pathlib.Path(folder, "nixpkgs")
        for place in [ours, nixpkgs]:
            shutil.copytree(ROOT / "nix", place / "nix")
        for name in ["flake.nix", "flake.lock", "Cargo.toml", "Cargo.lock"]:
            shutil.copy(ROOT / name, ours)
        for name in ["crates", "src", "tests", "examples"]:
            shutil.copytree(ROOT / name, ours / name)
        shutil.copytree(store.host, nixpkgs / "host")
        (nixpkgs / "flake.nix").write_text(NIXPKGS)
        (nixpkgs / "default.nix").write_text(DEFAULT)
        (nixpkgs / "registry.json").write_text('{"flakes": [], "version": 2}')

        nix = Nix(store, nixpkgs)
        outputs_are_there(nix, ours)
        template_works(nix, ours, pathlib.Path(folder, "template"))


def outputs_are_there(nix, ours):
    """Every output is evaluated down to its derivation, for every system."""
    outputs = json.loads(nix("flake", "show", "--json", f"path:{ours}"))
    assert "default" in outputs["nixosModules"], outputs
    module = f"path:{ours}#flakeModules.default"
    assert nix("eval", module, "--apply", "builtins.pathExists").strip() == "true"
    for system in SYSTEMS:
        assert "default" in outputs["packages"][system], outputs["packages"]
        checks = outputs["checks"][system]
        if system.endswith("-linux"):
            assert "identical-to-nixpkgs" in checks, checks
            for name in ["docker", "podman", "containerd", "nixos-module"]:
                assert f"vm-{name}" in checks, checks
        for name in EVALUATED:
            drv = nix("eval", "--raw", f"path:{ours}#checks.{system}.{name}.drvPath")
            assert drv.endswith(f"-{name}.drv"), drv
        drv = nix("eval", "--raw", f"path:{ours}#legacyPackages.{system}", "--apply", IMAGE)
        assert drv.endswith("-evaluated.tar.gz.drv"), drv
        for_pkgs = FOR_PKGS.replace("NIXPKGS", str(nix.nixpkgs)).replace("SYSTEM", system)
        same = nix("eval", "--impure", "--raw", f"path:{ours}#lib", "--apply", for_pkgs)
        assert same == drv, f"{same} is not {drv}"


def init_template(ours, folder):
    """`nix flake init` finds nothing in a chroot store, so this uses a store at its real path."""
    places = {
        f"NIX_{kind}_DIR": f"{folder}-nix/{kind.lower()}" for kind in ["STORE", "STATE", "LOG"]
    }
    subprocess.run(
        ["nix", *FEATURES, "flake", "init", "-t", f"path:{ours}"],
        cwd=folder,
        env=dict(os.environ, NIX_CONFIG="substituters =\nbuild-users-group =", **places),
        check=True,
        capture_output=True,
    )


def template_works(nix, ours, folder):
    """What a user types who starts from the template."""
    folder.mkdir()
    init_template(ours, folder)
    flake = folder / "flake.nix"

    # Until the URL is filled in, the message shows where.
    done = nix.run("eval", f"path:{folder}#image")
    assert done.returncode != 0, done.stdout
    assert "/write/the/url/of/nix-image/here" in done.stderr, done.stderr
    text = flake.read_text()
    assert text.count("path:/write/the/url/of/nix-image/here") == 1, text
    flake.write_text(text.replace("path:/write/the/url/of/nix-image/here", f"path:{ours}"))

    image = f"path:{folder}#image"
    assert "stream-hello" in nix("eval", image)
    for command in ["inspect", "load", "push", "serve", "stream", "write"]:
        usage = nix("run", f"{image}.{command}", "--", "--help")
        assert f"nix-image {command}" in usage, usage
    # By default the image is loaded: an archive on a terminal is useless.
    assert "nix-image load" in nix("run", image, "--", "--help")
    shown = json.loads(nix("run", f"{image}.inspect"))
    assert shown["Config"]["Cmd"] == ["hello"], shown
    assert "manifest.json" in nix("run", f"{image}.stream")
    for system in SYSTEMS:
        for attribute in [f"packages.{system}.image.drvPath", f"apps.{system}.image.program"]:
            nix("eval", f"path:{folder}#{attribute}")
