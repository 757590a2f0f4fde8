"""Shared state of the deliveries of one closure."""
import os
import shutil
import subprocess
import sys

from measuring import measure, present


class Bench:
    """A closure, the program, and a folder for everything that is created while measuring."""

    def __init__(self, closure, args, folder):
        self.closure, self.folder = closure, folder
        self.nix_image, self.script = str(args.binary), str(args.script)
        self.rounds = args.deliver_rounds
        self.name = f"bench-{closure.name}"
        self.confs = {"same": closure.conf, "changed": closure.changed}
        self.archives = {which: closure.archive(self.nix_image, conf)
                         for which, conf in self.confs.items()}

    def measure(self, groups):
        """Runs the contenders of all groups in turn; returns their samples by group and label."""
        groups = {group: present(contenders, self.closure.name)
                  for group, contenders in groups.items()}
        every = [contender for contenders in groups.values() for contender in contenders]
        samples = iter(measure(every, self.rounds, self.closure.name, warm_up=False))
        return {group: {contender.label: next(samples) for contender in contenders}
                for group, contenders in groups.items()}


class Memory:
    """What a program remembers between runs, in a folder that is restored before each run."""

    def __init__(self, bench, name):
        self.used, self.kept = (bench.folder / f"{name}.{kind}" for kind in ("used", "kept"))
        self.clear()
        # Root's skopeo stores its memory below XDG_DATA_HOME only if it takes the user for an
        # ordinary one.
        self.environment = {"HOME": str(self.used), "XDG_CACHE_HOME": str(self.used),
                            "XDG_DATA_HOME": str(self.used), "_CONTAINERS_ROOTLESS_UID": "1"}

    def clear(self):
        shutil.rmtree(self.used, ignore_errors=True)
        self.used.mkdir()

    def keep(self):
        shutil.copytree(self.used, self.kept)

    def restore(self):
        shutil.rmtree(self.used, ignore_errors=True)
        shutil.copytree(self.kept, self.used)


def quietly(command, environment):
    """Runs a command that is not measured."""
    done = subprocess.run(list(map(str, command)), env={**os.environ, **environment},
                          capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"benchmark: {' '.join(map(str, command))} failed: {done.stderr}")
