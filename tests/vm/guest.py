"""A machine with Debian's kernel and packages: its disk, kernel and initrd, created only once."""

import lzma
import shutil
import subprocess

import release as releases

# Older releases have a podman that does not load compressed archives.
RELEASES = ["trixie", "sid"]

# The machine's packages in addition to the engines and what they need.
SYSTEM = [
    *("busybox-static", "ca-certificates", "dbus", "docker-registry", "iproute2", "kmod"),
    *("linux-image-cloud-amd64", "procps", "systemd", "systemd-sysv", "udev", "zstd"),
]
DISK = "8G"
# Time limit for creating a file system, in seconds.
LIMIT = 10 * 60

# The ordinary user whose podman is tested.
USER = "tester"

# Kernel parameters for each test: each machine runs the services of one engine. The slowest test
# comes first.
NO_DOCKER = "systemd.mask=docker.service systemd.mask=docker.socket"
CONFIGURED = "systemd.setenv=DOCKER_OPTS=--config-file=/etc/docker"
NO_DAEMONS = f"{NO_DOCKER} systemd.mask=containerd.service"
KERNEL = {
    "docker-containerd-store": f"{CONFIGURED}/containerd-store.json",
    "docker": f"{CONFIGURED}/classic-store.json",
    "podman": NO_DAEMONS,
    "rootless-podman": NO_DAEMONS,
    "containerd": NO_DOCKER,
}

# The shell that runs the driver's commands, as NixOS' driver expects it: on the first virtio
# console, with standard error on the serial one.
BACKDOOR = """#!/bin/bash
export HOME=/root LOGNAME=root PAGER= PATH=/nix/bin:$PATH USER=root
cd /tmp
exec < /dev/hvc0 > /dev/hvc0 2> /dev/ttyS0
stty raw -echo
echo "Spawning backdoor root shell..."
PS1='' exec bash --norc /dev/hvc0
"""
UNIT = """[Unit]
Requires=dev-hvc0.device dev-ttyS0.device
After=dev-hvc0.device dev-ttyS0.device
[Service]
ExecStart=/usr/local/sbin/backdoor
KillSignal=SIGHUP
"""
# The store is the second disk. Without it, the machine is useless.
STORE = """[Unit]
Before=local-fs.target
[Mount]
What=/dev/vdb
Where=/nix
Type=ext4
Options=ro
"""
FILES = {
    "etc/docker/classic-store.json": """{
  "features": { "containerd-snapshotter": false },
  "storage-driver": "overlay2"
}
""",
    "etc/docker/containerd-store.json": '{ "features": { "containerd-snapshotter": true } }\n',
    "etc/hostname": "machine\n",
    "etc/systemd/system/backdoor.service": UNIT,
    "etc/systemd/system/nix.mount": STORE,
    "usr/local/sbin/backdoor": BACKDOOR,
}
LINKS = {
    "etc/systemd/system/local-fs.target.wants/nix.mount": "../nix.mount",
    "etc/systemd/system/multi-user.target.wants/backdoor.service": "../backdoor.service",
    # The consoles belong to the driver, and /tmp is on the disk, as in NixOS.
    "etc/systemd/system/serial-getty@hvc0.service": "/dev/null",
    "etc/systemd/system/serial-getty@ttyS0.service": "/dev/null",
    "etc/systemd/system/tmp.mount": "/dev/null",
}

# Started by the kernel. With `trial`, it only reports that the machine boots.
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
if /bin/busybox grep -qw trial /proc/cmdline; then
  echo the machine boots > /dev/console
  /bin/busybox poweroff -f
fi
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox insmod /virtio_blk.ko
until /bin/busybox mount -t ext4 /dev/vda /root; do /bin/busybox sleep 0.1; done
/bin/busybox umount /proc
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
"""


def make(release):
    """The folder with the guest's `disk`, `kernel` and `initrd`, created if needed."""
    wanted = releases.packages(release, SYSTEM)
    key = [*wanted, DISK, INIT, USER, str(FILES), str(LINKS)]

    def fill(folder):
        tree = folder / "tree"
        releases.bootstrap(release, wanted, tree)
        # With subordinate IDs.
        subprocess.run(["chroot", tree, "useradd", "--create-home", USER], check=True)
        write_files(tree)
        shutil.copy(next(tree.glob("boot/vmlinuz-*")), folder / "kernel")
        write_initrd(tree, folder / "initrd")
        write_disk(folder / "disk", DISK, tree)
        shutil.rmtree(tree)

    return releases.kept(release, "guest", key, fill)


def write_files(tree):
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    for name, target in LINKS.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)


def write_initrd(tree, initrd):
    """Everything that the kernel needs to find its root; the cloud kernel has the rest built in."""
    module = next(tree.glob("usr/lib/modules/*/kernel/drivers/block/virtio_blk.ko*"))
    data = module.read_bytes()
    folder = tree.with_name("initrd-files")
    for name in ["bin", "dev", "proc", "root"]:
        (folder / name).mkdir(parents=True)
    (folder / "virtio_blk.ko").write_bytes(
        lzma.decompress(data) if module.suffix == ".xz" else data
    )
    (folder / "init").write_text(INIT)
    (folder / "init").chmod(0o755)
    busybox = folder / "bin/busybox"
    shutil.copy(tree / "usr/bin/busybox", busybox)
    names = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    with initrd.open("wb") as output:
        subprocess.run(
            [busybox, "cpio", "-o", "-H", "newc"],
            cwd=folder,
            input=names.encode(),
            stdout=output,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    shutil.rmtree(folder)


def write_disk(disk, size, tree):
    """An ext4 file system with the contents of the tree."""
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", tree, disk, size],
        env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=LIMIT,
    )


def write_store(store, script, folder):
    """A disk with the closure of the scripts, and with nix-image on the machine's PATH."""
    closure = store.closure(script)
    tree = folder / "store-files"
    (tree / "store").mkdir(parents=True)
    (tree / "bin").mkdir()
    # Hard links do, as nothing writes to the files.
    names = [store.here(path) for path in closure]
    subprocess.run(["cp", "-a", "-l", "-t", tree / "store", *names], check=True)
    program = next(path for path in closure if path.endswith("-nix-image"))
    (tree / "bin/nix-image").symlink_to(f"{program}/bin/nix-image")
    used = subprocess.run(
        ["du", "-sk", "--apparent-size", tree], check=True, capture_output=True, text=True
    )
    # Each small file takes up a block, and the file system needs space for its tables.
    size = f"{int(used.stdout.split()[0]) * 2 + 65536}k"
    write_disk(folder / "store", size, tree)
    shutil.rmtree(tree)
    return folder / "store"
