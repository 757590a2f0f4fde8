"""Debian releases to test with: their engines and tools, whatever this machine runs.

    python3 tests/driver/release.py trixie COMMAND [ARGUMENT...]

runs a command as root in the release. It sees the release's programs instead of this machine's,
but this machine's kernel, network and temporary files, and this repository, under their own paths.
Whatever it writes elsewhere, mounts and starts is gone when it or this program ends. As a runner
for `cargo test`, this tests a release's engines; see CONTRIBUTING.md.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

RELEASES = ["bookworm", "trixie", "sid"]

# Engines, and what they need to run containers.
ENGINES = ["containerd", "crun", "docker.io", "iptables", "podman", "runc", "skopeo", "uidmap"]
# What the scripts of tests/scripts and the tests that start engines call.
TOOLS = [
    *("btrfs-progs", "busybox-static", "ca-certificates", "docker-registry", "e2fsprogs", "fakeroot"),
    *("file", "iproute2", "jq", "nix-bin", "patchelf", "procps", "python3", "rsync", "sqlite3"),
    *("strace", "umoci", "xfsprogs", "xz-utils", "zstd"),
]

# In seconds. Only a machine that hangs takes that long.
INSTALL_LIMIT = 30 * 60
RUN_LIMIT = 2 * 60 * 60

# Runs in the namespaces that `unshare` makes: adds the kernel's file systems to a tree.
INSIDE = """
tree=$1
shift
mount -t proc proc "$tree/proc"
mount --rbind /sys "$tree/sys"
mount --rbind /dev "$tree/dev"
exec chroot "$tree" "$@"
"""

# Also runs there: makes a root of the release's tree and a layer for writes, the kernel's file
# systems, and the folders that keep their paths. The shell stays as process 1, to reap what daemons
# leave behind.
ENTER = """
set -e
tree=$1 folders=$2
shift 2
mount -t tmpfs tmpfs "$tree/mnt"
mkdir "$tree/mnt/upper" "$tree/mnt/work" "$tree/mnt/root"
layers=lowerdir=$tree,upperdir=$tree/mnt/upper,workdir=$tree/mnt/work
mount -t overlay overlay -o "$layers" "$tree/mnt/root"
root=$tree/mnt/root
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
cp -L /etc/hosts /etc/resolv.conf "$root/etc"
echo "$folders" | while read -r folder; do
  mkdir -p "$root$folder"
  mount --bind "$folder" "$root$folder"
done
here=$PWD
# The root itself, not a chroot: those may make no user namespaces.
cd "$root"
mkdir old
pivot_root . old
umount -l /old
cd "$here"
"$@"
exit $?
"""


def packages(release, more=TOOLS):
    """The engines, and what to install in addition: by default for the scripts and the tests."""
    # The client is a separate package in later releases.
    client = [] if release == "bookworm" else ["docker-cli"]
    return sorted([*ENGINES, *client, *more])


def cache():
    """The directory for the trees."""
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(home) / "nix-image/tests"


def tree(release, wanted, purpose="engines"):
    """The folder of a release with these packages, created if it does not exist yet.

    Nothing writes to it.
    """
    return kept(release, purpose, wanted, lambda folder: bootstrap(release, wanted, folder))


def kept(release, purpose, key, make):
    """The folder that `make` fills, created if there is none for this key yet.

    Only the newest one for each purpose is kept.
    """
    digest = hashlib.sha256(" ".join(key).encode()).hexdigest()[:12]
    folder = cache() / f"{release}-{purpose}-{digest}"
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{release}-{purpose}.lock").open("w") as lock:
        # Other processes wait here, and then find the folder.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            for old in cache().glob(f"{release}-{purpose}-*"):
                shutil.rmtree(old)
            print(f"creating {folder}, which takes a few minutes", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=cache(), prefix="making-") as made:
                new = pathlib.Path(made, "new")
                new.mkdir()
                make(new)
                new.rename(folder)
    return folder


def bootstrap(release, wanted, folder):
    """Debian's smallest system, and packages with their dependencies, with checked signatures."""
    if not shutil.which("debootstrap"):
        sys.exit("debootstrap is not on PATH\nhint: scripts/setup test installs it")
    mirror = os.environ.get("NIX_IMAGE_TEST_MIRROR")
    base = ["debootstrap", "--force-check-gpg", "--variant=minbase", release, folder]
    install(release, [*base, mirror] if mirror else base)
    # Do not start services, and do not install documentation.
    policy = folder / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    (folder / "etc/dpkg/dpkg.cfg.d/tests").write_text(
        "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n"
    )
    # apt's resolver handles virtual packages, debootstrap's does not.
    get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "-q"]
    inside = ["sh", "-ec", INSIDE, "sh", folder, *get]
    install(release, [*inside, "install", "--no-install-recommends", *wanted])
    install(release, [*inside, "clean"])


def install(release, command):
    """Runs one step of the installation."""
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = alone(command, INSTALL_LIMIT, stdin=subprocess.DEVNULL, **output)
    if done.returncode != 0:
        sys.exit(f"{release} cannot be installed:\n{done.stdout[-4000:]}")


def alone(command, limit, **settings):
    """Runs a command in its own mount and PID namespaces, killed with its parent or at a limit."""
    dying = ["setpriv", "--pdeathsig", "KILL"]
    timeout = ["timeout", "--foreground", "--signal=KILL", str(limit)]
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    whole = [*dying, *timeout, *dying, *unshare, *map(str, command)]
    return subprocess.run(whole, **settings)


def run(release, command, limit=RUN_LIMIT):
    """Runs a command in a release, and returns its exit status."""
    if os.geteuid() != 0:
        sys.exit(f"only root can run a command in {release}")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    shared = [pathlib.Path(tempfile.gettempdir()), ROOT, ROOT / target]
    return enter(tree(release, packages(release)), shared, command, limit)


def enter(folder, shared, command, limit):
    """Runs a command with a tree as its root, plus the shared folders. Returns its status."""
    # Folders come before those inside them.
    paths = "\n".join(sorted({str(path.resolve()) for path in shared if path.exists()}))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {**kept, "HOME": "/root", "LC_ALL": "C.UTF-8", "PATH": path}
    entering = ["sh", "-c", ENTER, "sh", folder, paths, *command]
    return alone(entering, limit, env=environment).returncode


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in RELEASES:
        sys.exit(f"usage: release.py {'|'.join(RELEASES)} COMMAND [ARGUMENT...]")
    sys.exit(run(sys.argv[1], sys.argv[2:]))
