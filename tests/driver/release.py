"""Debian releases to test with: their engines and tools, whatever this machine is.

    python3 tests/driver/release.py trixie COMMAND [ARGUMENT...]

runs a command as root in the release. It sees the release's programs in place of this machine's,
with this machine's kernel, network, temporary files and this repository, under their own paths. What
it writes elsewhere, mounts and starts is gone when it ends, or when this program does. As a runner
of `cargo test`, it has a release's engines tested; CONTRIBUTING.md says how.
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

# Seconds. Nothing takes that long, but on a machine that hangs.
INSTALL_LIMIT = 30 * 60
RUN_LIMIT = 2 * 60 * 60

# In the namespaces that `unshare` makes: a tree with the kernel's file systems.
INSIDE = """
tree=$1
shift
mount -t proc proc "$tree/proc"
mount --rbind /sys "$tree/sys"
mount --rbind /dev "$tree/dev"
exec chroot "$tree" "$@"
"""

# In the same: a root of the release's tree and whatever is written, the
# kernel's file systems, and the folders that keep their paths. The shell stays, as process 1, to
# reap what daemons leave.
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
    """The engines, and what is installed besides them: by default for the scripts and the tests."""
    # Where the client is a package of its own.
    client = [] if release == "bookworm" else ["docker-cli"]
    return sorted([*ENGINES, *client, *more])


def cache():
    """Where trees are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(home) / "nix-image/tests"


def tree(release, wanted, purpose="engines"):
    """The folder of a release with packages, made now if there is none with these.

    Nothing writes to it.
    """
    return kept(release, purpose, wanted, lambda folder: bootstrap(release, wanted, folder))


def kept(release, purpose, key, make):
    """The folder that `make` fills, made now if there is none for these words.

    Of each purpose only the newest is kept.
    """
    digest = hashlib.sha256(" ".join(key).encode()).hexdigest()[:12]
    folder = cache() / f"{release}-{purpose}-{digest}"
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{release}-{purpose}.lock").open("w") as lock:
        # Others wait here, and then find it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            for old in cache().glob(f"{release}-{purpose}-*"):
                shutil.rmtree(old)
            print(f"making {folder}, which takes some minutes", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=cache(), prefix="making-") as made:
                new = pathlib.Path(made, "new")
                new.mkdir()
                make(new)
                new.rename(folder)
    return folder


def bootstrap(release, wanted, folder):
    """Debian's smallest system, and packages with what they need, as its archive signs them."""
    if not shutil.which("debootstrap"):
        sys.exit("there is no debootstrap on PATH\nhint: scripts/setup test installs it")
    mirror = os.environ.get("NIX_IMAGE_TEST_MIRROR")
    base = ["debootstrap", "--force-check-gpg", "--variant=minbase", release, folder]
    install(release, [*base, mirror] if mirror else base)
    # Nothing starts, and nothing is written that only people read.
    policy = folder / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    (folder / "etc/dpkg/dpkg.cfg.d/tests").write_text(
        "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n"
    )
    # The resolver of apt knows virtual packages, that of debootstrap does not.
    get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "-q"]
    inside = ["sh", "-ec", INSIDE, "sh", folder, *get]
    install(release, [*inside, "install", "--no-install-recommends", *wanted])
    install(release, [*inside, "clean"])


def install(release, command):
    """Runs one step of it."""
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = alone(command, INSTALL_LIMIT, stdin=subprocess.DEVNULL, **output)
    if done.returncode != 0:
        sys.exit(f"{release} cannot be installed:\n{done.stdout[-4000:]}")


def alone(command, limit, **settings):
    """Runs a command in mounts and processes of its own, which end when it, its time or we do."""
    dying = ["setpriv", "--pdeathsig", "KILL"]
    timeout = ["timeout", "--foreground", "--signal=KILL", str(limit)]
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    whole = [*dying, *timeout, *dying, *unshare, *map(str, command)]
    return subprocess.run(whole, **settings)


def run(release, command, limit=RUN_LIMIT):
    """Runs a command in a release, and gives its exit status."""
    if os.geteuid() != 0:
        sys.exit(f"only root can run a command in {release}")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    shared = [pathlib.Path(tempfile.gettempdir()), ROOT, ROOT / target]
    return enter(tree(release, packages(release)), shared, command, limit)


def enter(folder, shared, command, limit):
    """Runs a command with a tree as its root, which sees the shared folders, and gives its status."""
    # What holds others comes before them.
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
