"""The machine of NixOS' test driver, as far as the scripts use it."""

import contextlib
import signal
import time
from collections.abc import Iterator


class Failure(Exception):
    """A command did not end as the script expects."""


class Machine:
    """What all drivers have in common, once they can run a command.

    bash runs the commands in /tmp, with a terminal as their standard input and standard error.
    Limits are in seconds; a command that takes longer is killed, and has failed.
    """

    def __init__(self) -> None:
        self.current = "before the first subtest"
        # The standard error of the last command.
        self.errors = ""

    def execute(self, command: str, timeout: int | None = 900) -> tuple[int, str]:
        """Its exit status and its standard output."""
        raise NotImplementedError

    def start(self) -> None:
        """Boots the machine."""
        raise NotImplementedError

    def shutdown(self) -> None:
        """Shuts it down, keeping its disk."""
        raise NotImplementedError

    def wait_for_unit(self, unit: str) -> None:
        """Waits until the unit is active."""
        raise NotImplementedError

    def succeed(self, *commands: str, timeout: int | None = None) -> str:
        output = ""
        for command in commands:
            status, said = self.execute(command, timeout)
            if status != 0:
                raise Failure(f"exit status {status} from {command}\n{said}{self.errors}")
            output += said
        return output

    def fail(self, *commands: str, timeout: int | None = None) -> str:
        output = ""
        for command in commands:
            status, said = self.execute(command, timeout)
            if status == 0:
                raise Failure(f"should have failed: {command}\n{said}")
            output += said
        return output

    def wait_until_succeeds(self, command: str, timeout: int = 900) -> str:
        end = time.monotonic() + timeout
        while True:
            status, said = self.execute(command, timeout)
            if status == 0:
                return said
            if time.monotonic() > end:
                raise Failure(f"did not succeed in {timeout} s: {command}\n{self.errors}")
            time.sleep(0.2)

    @contextlib.contextmanager
    def subtest(self, name: str) -> Iterator[None]:
        self.current = name
        started = time.monotonic()
        try:
            yield
        except BaseException:
            print(f"  FAILED {name}", flush=True)
            raise
        print(f"  ok {name} ({time.monotonic() - started:.1f} s)", flush=True)


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raises a failure if the body takes longer."""

    def end(*_: object) -> None:
        raise Failure(f"the script took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
