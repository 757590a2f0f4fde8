"""Loads into engines that store their layers on the store's disk, so that they can be linked."""
import shutil
import subprocess
from contextlib import ExitStack

from bench import Bench, Memory, quietly
from deliver import start
from measuring import Contender
from registry import engines

PROGRAMS = ("podman", "containerd", "dockerd")


def link(closure, args):
    """Measures the loads of a closure; returns the samples by table, group and label."""
    folder = closure.directory / "link"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    bench, found = Bench(closure, args, folder), {}
    for engine in (Podman, Containerd, Docker):
        with ExitStack() as running:
            started = start(running, engine.kind, folder)
            if started and engine.fits(started):
                found[engine.title] = bench.measure(engine(bench, started).groups())
    shutil.rmtree(folder)
    return found


class Links:
    """What is the same for all engines."""

    # Suffixes of the command in labels, and the options that they stand for.
    variants = {"": []}

    def __init__(self, bench, engine):
        self.bench, self.memory = bench, Memory(bench, self.name)
        self.environment = {**engine.environment(), "HOME": str(bench.folder),
                            "XDG_CACHE_HOME": str(self.memory.used)}
        self.load = [bench.nix_image, "load", "--engine", self.name]
        quietly([*self.load, bench.closure.conf], self.environment)
        self.memory.keep()

    @staticmethod
    def fits(engine):
        return True

    def quietly(self, *command):
        quietly(command, self.environment)

    def empty_and_remember(self):
        self.empty()
        self.memory.restore()

    def empty_and_forget(self):
        self.empty()
        self.memory.clear()

    def hold_the_image(self):
        self.empty_and_remember()
        self.quietly(*self.load, self.bench.closure.conf, "-t", f"{self.bench.name}:base")

    def ours(self, said, options, which, prepare):
        command = [*self.load, *options, self.bench.confs[which]]
        return Contender(f"`nix-image load`{said}", command, self.environment, prepare)

    def groups(self):
        archive = Contender(f"`{' '.join(map(str, self.archive))}` of a finished archive",
                            [*self.archive, self.bench.archives["same"]], self.environment,
                            self.empty_and_remember)
        first = [self.ours(f"{said}, {known} remembered", options, "same", prepare)
                 for said, options in self.variants.items()
                 for known, prepare in (("digests", self.empty_and_remember),
                                        ("nothing", self.empty_and_forget))]
        changed = [self.ours(said, options, "changed", self.hold_the_image)
                   for said, options in self.variants.items()]
        copied = self.ours(", `--import copy`, digests remembered", ["--import", "copy"], "same",
                           self.empty_and_remember)
        # A lower bound for copies: creates the files, and nothing else.
        target = self.bench.folder / "copies"

        def remove_copies():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()

        plain = Contender("`cp -r` of the store paths",
                          ["cp", "-r", "--reflink=never", *self.bench.closure.paths, target],
                          self.environment, remove_copies)
        return {"first load": [*first, copied, plain, archive], "one path of twenty changed": changed}


class Podman(Links):
    name, kind, title = "podman", engines.Podman, "Links into podman"
    archive = ["podman", "load", "--input"]

    @staticmethod
    def fits(engine):
        return engine.storage == "overlay"

    def empty(self):
        self.quietly("podman", "rmi", "--all", "--force")


class Containerd(Links):
    name, kind, title = "containerd", engines.Containerd, "Links into containerd"
    archive = ["ctr", "images", "import"]
    variants = {", `--without-content`": ["--without-content"], "": []}

    def empty(self):
        listed = subprocess.run(["ctr", "images", "ls", "--quiet"], env=self.environment,
                                capture_output=True, text=True, check=True)
        for image in listed.stdout.split():
            self.quietly("ctr", "images", "rm", "--sync", image)


class Docker(Links):
    name, kind = "docker", engines.DockerWithContainerdStore
    title = "Links into dockerd with containerd's store"
    archive = ["docker", "load", "--input"]

    @staticmethod
    def fits(engine):
        said = subprocess.run(["docker", "info", "--format", "{{.DriverStatus}}"],
                              env=engine.environment(), capture_output=True, text=True)
        return "io.containerd.snapshotter" in said.stdout

    def empty(self):
        self.quietly("docker", "system", "prune", "--all", "--force")
