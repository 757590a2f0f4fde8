"""NixOS' test driver's machine, as far as the scripts use it, on this machine."""

import contextlib
import subprocess
import time


class Failure(Exception):
    """A command that did not end as the script expects."""


class Machine:
    def __init__(self, environment):
        self.environment = environment
        self.current = "before the first subtest"

    def execute(self, command, timeout=300):
        done = subprocess.run(
            ["bash", "-c", f"set -euo pipefail\n{command}"],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            text=True,
        )
        self.errors = done.stderr
        return done.returncode, done.stdout

    def succeed(self, *commands, timeout=300):
        output = ""
        for command in commands:
            status, said = self.execute(command, timeout)
            if status != 0:
                raise Failure(f"exit status {status} from {command}\n{said}{self.errors}")
            output += said
        return output

    def fail(self, *commands, timeout=300):
        output = ""
        for command in commands:
            status, said = self.execute(command, timeout)
            if status == 0:
                raise Failure(f"was to fail and did not: {command}\n{said}")
            output += said
        return output

    def wait_until_succeeds(self, command, timeout=60):
        end = time.monotonic() + timeout
        while True:
            status, said = self.execute(command)
            if status == 0:
                return said
            if time.monotonic() > end:
                raise Failure(f"did not succeed in {timeout} s: {command}\n{self.errors}")
            time.sleep(0.2)

    def wait_for_unit(self, unit):
        """The driver has waited for the engine itself."""

    def copy_from_host(self, source, target):
        self.succeed(f"cp -r {source} {target}")

    @contextlib.contextmanager
    def subtest(self, name):
        self.current = name
        started = time.monotonic()
        try:
            yield
        except BaseException:
            print(f"  FAILED {name}", flush=True)
            raise
        print(f"  ok {name} ({time.monotonic() - started:.1f} s)", flush=True)
