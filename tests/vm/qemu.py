"""qemu: chooses the machine's processor, and writes the program that starts a machine."""

import os
import platform
import shlex
import shutil
import subprocess
import sys

# Maximum time for a trial boot in seconds: with KVM it takes one.
TRIAL_LIMIT = 30

# Debian's programs in languages other than C need more than the first 64-bit processors.
PROCESSORS = {
    "kvm": ["-accel", "kvm", "-cpu", "max", "-smp", "2"],
    "tcg": [
        *("-accel", "tcg", "-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand"),
        # A kernel that patches its own code has crashed on two.
        *("-smp", "1"),
    ],
}
QEMU = "qemu-system-x86_64"
# On a loaded host, a kernel would conclude that its timer does not work.
KERNEL = "console=ttyS0 panic=-1 no_timer_check"


def accelerator(guest):
    """KVM if a machine boots with it. Being able to open /dev/kvm does not prove that."""
    return "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) and boots(guest, "kvm") else "tcg"


def boots(guest, accelerator):
    command = [
        *(QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *(*PROCESSORS[accelerator], "-m", "256", "-serial", "stdio"),
        *("-kernel", guest / "kernel", "-initrd", guest / "initrd"),
        *("-append", f"{KERNEL} trial"),
    ]
    try:
        done = subprocess.run(
            with_us(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=TRIAL_LIMIT
        )
    except subprocess.TimeoutExpired:
        return False
    return b"the machine boots" in done.stdout


def with_us(command):
    """The command, killed when its parent ends."""
    return ["setpriv", "--pdeathsig", "KILL", *map(str, command)]


def write_start_script(path, guest, store, options, memory, accelerator):
    """A program that starts the machine, with further qemu options as its arguments.

    Its disk stores what was written since the first start, in the folder that TMPDIR names, on top
    of the guest's disk. NixOS' driver requires this, and it allows shutting a machine down and
    starting it again.
    """
    machine = [
        *(QEMU, "-nodefaults", "-no-user-config", "-name", "machine"),
        *(*PROCESSORS[accelerator], "-m", str(memory)),
        *("-kernel", guest / "kernel", "-initrd", guest / "initrd"),
        *("-append", f"{KERNEL} quiet systemd.show_status=no {options}"),
    ]
    devices = [
        *("-device", "virtio-blk-pci,drive=disk"),
        *("-drive", f"if=none,id=store,format=raw,read-only=on,file={store}"),
        *("-device", "virtio-blk-pci,drive=store"),
    ]
    script = f"""#!/bin/sh
set -e
disk=$TMPDIR/disk.qcow2
[ -e "$disk" ] || qemu-img create -q -f qcow2 -F raw -b {shlex.quote(str(guest / "disk"))} "$disk"
exec {shlex.join(with_us(machine))} \\
  -drive if=none,id=disk,format=qcow2,cache=unsafe,file="$disk" \\
  {shlex.join(devices)} "$@"
"""
    path.write_text(script)
    path.chmod(0o755)


def check_host():
    """Exits if machines cannot be created or run here."""
    if platform.machine() != "x86_64":
        sys.exit(f"tests/vm: the machines need x86_64, but this host is {platform.machine()}")
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    programs = ["debootstrap", "mke2fs", "qemu-img", QEMU]
    missing = [name for name in programs if not shutil.which(name, path=path)]
    if missing:
        sys.exit(f"tests/vm: {', '.join(missing)} missing\nhint: scripts/setup vm installs it")
