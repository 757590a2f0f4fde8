"""A virtual machine as scripts see it, through a shell on its console."""

import base64
import pathlib
import shlex
import socket
import subprocess
import time

from machine import Failure, Machine

# Maximum time for a boot in seconds, even on a loaded host without KVM.
BOOT_LIMIT = 10 * 60
# Maximum time for a shutdown in seconds.
SHUTDOWN_LIMIT = 5 * 60
READY = b"Spawning backdoor root shell...\n"


class VirtualMachine(Machine):
    """A machine started by a start script of qemu.py, with its state in a folder."""

    def __init__(self, start_script: pathlib.Path, folder: pathlib.Path) -> None:
        super().__init__()
        self.start_script = start_script
        self.folder = folder
        self.console = folder / "console"
        self.process: subprocess.Popen[bytes] | None = None
        self.shell: socket.socket | None = None

    def start(self) -> None:
        """Starts it, without waiting until it is up."""
        if self.process:
            return
        address = self.folder / "shell"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(address))
            listening.listen(1)
            listening.settimeout(60)
            self.process = subprocess.Popen(
                [
                    *(self.start_script, "-display", "none", "-no-reboot"),
                    *("-chardev", f"socket,id=shell,path={address}"),
                    *("-device", "virtio-serial", "-device", "virtconsole,chardev=shell"),
                    *("-device", "virtio-rng-pci"),
                    *("-chardev", f"file,id=serial,append=on,path={self.console}"),
                    *("-serial", "chardev:serial"),
                ],
                env={"PATH": "/usr/bin:/bin", "TMPDIR": str(self.folder)},
                stdin=subprocess.DEVNULL,
            )
            try:
                self.shell, _ = listening.accept()
            except TimeoutError:
                self.kill()
                raise Failure("qemu does not start") from None
        self.lines = self.shell.makefile("rb")
        self.booted = False

    def connect(self) -> socket.socket:
        """Waits for the shell."""
        self.start()
        assert self.shell
        if not self.booted:
            self.shell.settimeout(BOOT_LIMIT)
            started = time.monotonic()
            try:
                ready = self.lines.readline() == READY
            except TimeoutError:
                raise Failure(f"the machine is not up after {BOOT_LIMIT} s") from None
            if not ready:
                raise Failure("the machine ended before it was up")
            print(f"  booted in {time.monotonic() - started:.0f} s", flush=True)
            self.shell.settimeout(None)
            self.booted = True
        return self.shell

    def execute(self, command: str, timeout: int | None = 900) -> tuple[int, str]:
        shell = self.connect()
        seen = self.console.stat().st_size
        limited = f"timeout {timeout}" if timeout is not None else ""
        script = shlex.quote(f"set -euo pipefail; {command}")
        line = f"{limited} bash -c {script} | (base64 -w 0; echo); echo ${{PIPESTATUS[0]}}\n"
        shell.sendall(line.encode())
        output, status = self.lines.readline(), self.lines.readline()
        if not status.endswith(b"\n"):
            raise Failure(f"the machine ended during {command}")
        with self.console.open("rb") as console:
            console.seek(seen)
            self.errors = console.read().decode(errors="replace")
        return int(status), base64.b64decode(output).decode(errors="replace")

    def wait_for_unit(self, unit: str) -> None:
        state = f"systemctl show --property=ActiveState --value {shlex.quote(unit)}"
        self.wait_until_succeeds(f"[ $({state}) = active ]")

    def shutdown(self) -> None:
        if not self.process:
            return
        self.connect().sendall(b"poweroff\n")
        try:
            self.process.wait(SHUTDOWN_LIMIT)
        except subprocess.TimeoutExpired:
            raise Failure("the machine does not shut down") from None
        self.kill()

    def last_lines(self) -> str:
        """The end of the output on its serial console."""
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        return "\n".join(text.splitlines()[-20:])

    def kill(self) -> None:
        """Stops it at once, whatever it is doing."""
        if self.process:
            self.process.kill()
            self.process.wait()
        if self.shell:
            self.shell.close()
        self.process = self.shell = None
