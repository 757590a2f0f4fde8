"""Container engines, each started for a test in a separate folder.

As a program: starts the engine named by the first argument, in the folder named by an optional
second one, and prints as JSON the variables by which programs find it. Stops the engine when
standard input ends. On a line `stop` or `kill` there, stops it in that way, starts it again, and
prints the variables again.
"""

import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time


class Engine:
    """What all engines share: a temporary folder, a process, and how to stop both."""

    process = None
    # Whether an image's ID is the digest of its config.
    image_id_is_config = True

    def __init__(self, parent=None, data=None):
        self.parent = parent
        self.data_parent = data

    def __enter__(self):
        # A short path, because the paths of sockets are limited in length.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nix-image-", dir=self.parent))
        # The data may have to be on a store's disk.
        self.data = self.folder / "data"
        if self.data_parent:
            self.data = pathlib.Path(tempfile.mkdtemp(prefix="data-", dir=self.data_parent))
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        for folder in [self.data, self.folder]:
            shutil.rmtree(folder, ignore_errors=True)

    def stop(self):
        """Stops the engine. `start` then finds its previous state."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # Deleting the folder must not reach through mounts that an engine left behind.
        mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
        for line in reversed(mounts):
            target = line.split()[1]
            if target.startswith((f"{self.folder}/", f"{self.data}/")):
                subprocess.run(["umount", "--lazy", target], check=False)

    @classmethod
    def version(cls):
        """The version of the program on PATH, as a list of numbers."""
        if not shutil.which(cls.program):
            raise SystemExit(f"{cls.program} is not on PATH")
        said = subprocess.run([cls.program, "--version"], capture_output=True, text=True).stdout
        return [int(number) for number in re.search(r"\d+(\.\d+)+", said)[0].split(".")]

    @classmethod
    def missing(cls):
        """Why the program on PATH is too old for this engine, or None."""
        return None

    def kill(self):
        """Kills its process without a chance to clean up."""
        self.process.kill()
        self.process.wait()

    def variables(self):
        """The environment variables by which programs find it."""
        return {}

    def environment(self):
        return {**os.environ, **self.variables()}

    def layers_are(self):
        """How `nix-image load` gets layers into it from a store on its disk."""
        return "linked"

    def unpacks(self):
        """The compressors whose archives it loads directly."""
        return []

    def spawn(self, command, check):
        """Starts a daemon and waits until `check` succeeds."""
        log = self.folder / "log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                list(map(str, command)), stdout=output, stderr=output, start_new_session=True
            )
        for _ in range(300):
            done = subprocess.run(check, env=self.environment(), capture_output=True)
            if done.returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"{command[0]} does not start:\n{log.read_text()[-4000:]}")


class Docker(Engine):
    command = "docker"
    program = "dockerd"
    scripts = ["layered", "one-layer", "archives", "nix-shell", "nixos-module", "load"]
    scripts += ["broken-loads", "restart"]

    containerd_store = False

    def start(self):
        self.address = f"unix://{self.folder}/docker.sock"
        features = {"containerd-snapshotter": self.containerd_store}
        config = self.folder / "config.json"
        config.write_text(json.dumps({"features": features}))
        self.storage = None if self.containerd_store else storage_driver(self.folder)
        self.spawn(
            [
                "dockerd",
                *("--config-file", config),
                *("--host", self.address),
                *("--data-root", self.data),
                *("--exec-root", self.folder / "exec"),
                *("--pidfile", self.folder / "docker.pid"),
                *(["--storage-driver", self.storage] if self.storage else []),
                # The containers have no network, and the machine's is not touched.
                *("--bridge=none", "--iptables=false", "--ip6tables=false"),
            ],
            ["docker", "info"],
        )

    def kill(self):
        super().kill()
        # Its containerd stops with it; wait for that, in case process 1 is slow to reap.
        (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def variables(self):
        return {"DOCKER_HOST": self.address}

    def unpacks(self):
        return ["gzip", "zstd"] if self.version()[0] >= 23 else ["gzip"]

    def layers_are(self):
        # Older ones do not report where their containerd is.
        return "linked" if self.containerd_store and self.version()[0] >= 27 else "sent"


class DockerWithContainerdStore(Docker):
    """dockerd's containerd store, available since version 24; older ones ignore the setting."""

    containerd_store = True
    # The ID is the digest of a manifest that dockerd writes.
    image_id_is_config = False

    @classmethod
    def missing(cls):
        version = cls.version()[0]
        return None if version >= 24 else f"dockerd {version} has no containerd store"


class Podman(Engine):
    command = "podman"
    program = "podman"
    scripts = [*Docker.scripts, "nixos-image", "nixos-module-store"]

    def start(self):
        self.version()
        self.storage = "overlay" if storage_driver(self.folder) == "overlay2" else "vfs"
        (self.folder / "storage.conf").write_text(
            f"""[storage]
driver = "{self.storage}"
graphroot = "{self.data}"
runroot = "{self.folder}/run"
"""
        )
        # podman asks for more files and processes than a test machine may allow.
        files = min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        ulimits = [f"nofile={files}:{files}", "nproc=4096:4096"]
        # crun rejects machines with both versions of cgroups.
        (self.folder / "containers.conf").write_text(
            f"""[containers]
default_ulimits = {json.dumps(ulimits)}
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
tmp_dir = "{self.folder}/tmp"
{beside("podman", "conmon_path", "conmon")}
{beside("podman", "helper_binaries_dir", "netavark", folder=True)}
[engine.runtimes]
{beside("podman", "runc", "runc")}
"""
        )
        # A short name is an image of ours, never one to look up in a registry.
        (self.folder / "registries.conf").write_text("unqualified-search-registries = []\n")

    def variables(self):
        return {
            # The scripts parse the commands' messages.
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
            "CONTAINERS_CONF": f"{self.folder}/containers.conf",
            "CONTAINERS_REGISTRIES_CONF": f"{self.folder}/registries.conf",
            "CONTAINERS_STORAGE_CONF": f"{self.folder}/storage.conf",
        }

    def unpacks(self):
        # Debian's podman 4.3 reports any gzip as a broken tar.
        return ["zstd"]

    def stop(self):
        super().stop()
        # What a machine loses at shutdown.
        for name in ["run", "tmp"]:
            shutil.rmtree(self.folder / name, ignore_errors=True)


class RootlessPodman(Podman):
    """An ordinary user's podman. Only programs run by AS_USER see that user."""

    scripts = ["load"]
    subordinate_ids = "tester:4100000:65536\n"
    uid = 41000

    def start(self):
        super().start()
        if self.storage == "vfs":
            raise SystemExit("overlay cannot be mounted here")
        for name in ["home", "xdg", "run", "tmp"]:
            (self.folder / name).mkdir(mode=0o700)
        self.data.mkdir(mode=0o700, exist_ok=True)
        entry = f"tester:x:{self.uid}:{self.uid}::{self.folder}/home:/bin/sh\n"
        known = {
            "passwd": pathlib.Path("/etc/passwd").read_text() + entry,
            "group": pathlib.Path("/etc/group").read_text() + f"tester:x:{self.uid}:\n",
            "subuid": self.subordinate_ids,
            "subgid": self.subordinate_ids,
        }
        mounts = []
        for name, text in known.items():
            if not pathlib.Path(f"/etc/{name}").exists():
                raise SystemExit(f"there is no /etc/{name}")
            (self.folder / name).write_text(text)
            mounts.append(f"mount --bind {self.folder}/{name} /etc/{name}")
        for file in [self.folder, self.data, *self.folder.iterdir()]:
            if file.name not in known:
                os.chown(file, self.uid, self.uid)
        as_user = f"setpriv --reuid={self.uid} --regid={self.uid} --clear-groups"
        script = "; ".join([*mounts, f'exec {as_user} "$@"'])
        self.as_user = self.folder / "as-user"
        self.as_user.write_text(f"#!/bin/sh\nexec unshare --mount sh -ec '{script}' sh \"$@\"\n")
        self.as_user.chmod(0o755)

    def layers_are(self):
        # Users can link only their own files.
        return "copied"

    def stop(self):
        # The process with which podman keeps its user namespace alive.
        for pause in [self.folder / "xdg/libpod/tmp/pause.pid", self.folder / "tmp/pause.pid"]:
            if pause.exists():
                os.kill(int(pause.read_text()), signal.SIGKILL)
        super().stop()

    def variables(self):
        user = {"HOME": f"{self.folder}/home", "XDG_RUNTIME_DIR": f"{self.folder}/xdg"}
        cache = {"XDG_CACHE_HOME": f"{self.folder}/home/cache"}
        return {**super().variables(), **user, **cache, "AS_USER": str(self.as_user)}


class PodmanWithoutIds(RootlessPodman):
    """Rootless podman of a user without subordinate IDs."""

    subordinate_ids = ""


class Containerd(Engine):
    command = "ctr"
    program = "containerd"
    scripts = ["containerd", "nixos-module", "load", "broken-loads", "restart"]

    configuration = 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'

    def start(self):
        self.socket = self.folder / "containerd.sock"
        config = self.folder / "config.toml"
        config.write_text(self.configuration)
        self.spawn(
            [
                "containerd",
                *("--config", config),
                *("--address", self.socket),
                *("--root", self.data),
                *("--state", self.folder / "state"),
            ],
            ["ctr", "version"],
        )

    def variables(self):
        return {"CONTAINERD_ADDRESS": str(self.socket)}


class IsolatingContainerd(Containerd):
    """containerd with separate content in each namespace."""

    configuration = f"""{Containerd.configuration}
[plugins."io.containerd.metadata.v1.bolt"]
content_sharing_policy = "isolated"
"""


def beside(program, setting, helper, folder=False):
    """A setting to use the helper in a program's own folder, if that is not the machine's."""
    place = pathlib.Path(shutil.which(program)).with_name(helper)
    if str(place.parent) in ["/usr/bin", "/bin"] or not place.exists():
        return ""
    return f"{setting} = {json.dumps([str(place.parent if folder else place)])}"


def storage_driver(folder):
    """overlay2 if the kernel and this file system support it, else vfs."""
    for name in ["lower", "upper", "work", "merged"]:
        (folder / name).mkdir(exist_ok=True)
    options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(folder / "merged")]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        return "vfs"
    subprocess.run(["umount", str(folder / "merged")], check=True)
    return "overlay2"


ENGINES = {
    "docker": Docker,
    "docker-with-containerd-store": DockerWithContainerdStore,
    "podman": Podman,
    "rootless-podman": RootlessPodman,
    "containerd": Containerd,
}


def main():
    known = {
        **ENGINES,
        "isolating-containerd": IsolatingContainerd,
        "podman-without-ids": PodmanWithoutIds,
    }
    try:
        with known[sys.argv[1]](*sys.argv[2:]) as engine:
            print(json.dumps(engine.variables()), flush=True)
            for line in sys.stdin:
                if line == "kill\n":
                    engine.kill()
                engine.stop()
                engine.start()
                print(json.dumps(engine.variables()), flush=True)
    except OSError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
