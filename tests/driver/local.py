"""This machine in the role of a virtual one: commands find the engine that was started for them."""

import os
import signal
import subprocess
import threading
import tty

from engines import Engine
from machine import Machine


class LocalMachine(Machine):
    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def start(self) -> None:
        """What remains of a boot: starts the engine with its previous state."""
        self.engine.start()

    def shutdown(self) -> None:
        self.engine.stop()

    def wait_for_unit(self, unit: str) -> None:
        """The driver has already waited for the engine."""

    def execute(self, command: str, timeout: int | None = 900) -> tuple[int, str]:
        # Even without a limit: as the session's leader, bash would take over the terminal, and what
        # it leaves running would get a SIGHUP when it exits.
        limited = ["timeout", str(timeout or 0)]
        with Terminal() as terminal:
            process = subprocess.Popen(
                [*limited, "bash", "-c", f"set -euo pipefail; {command}"],
                cwd="/tmp",
                # As simple a terminal as a serial console.
                env={**self.engine.environment(), "TERM": "dumb"},
                stdin=terminal.end,
                stdout=subprocess.PIPE,
                stderr=terminal.end,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            try:
                output, _ = process.communicate()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        self.errors = terminal.said.decode(errors="replace")
        return process.returncode, output


class Terminal:
    """A terminal without input, and the output written to it."""

    def __enter__(self) -> "Terminal":
        self.ours, self.end = os.openpty()
        tty.setraw(self.end)
        self.said = b""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        return self

    def read(self) -> None:
        try:
            while data := os.read(self.ours, 65536):
                self.said += data
        except OSError:
            # All other ends are closed.
            pass

    def __exit__(self, *_: object) -> None:
        os.close(self.end)
        # Processes that a command left running may hold the terminal open for longer.
        self.reader.join(1)
        if not self.reader.is_alive():
            os.close(self.ours)
