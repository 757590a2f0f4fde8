"""Runs contenders as whole processes, in turn, and records what each run took."""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Callable


def say(message):
    print(f"benchmark: {message}", file=sys.stderr, flush=True)


@dataclass
class Contender:
    label: str
    command: list
    environment: dict = field(default_factory=dict)
    # Called before each run, and not measured.
    prepare: Callable = lambda: None
    # Another program that is needed.
    needs: str = "cat"
    # Returns the bytes that a run moved, if known.
    moved: Callable = lambda: 0


@dataclass
class Sample:
    seconds: float
    cpu_seconds: float
    peak_mib: float
    moved: int = 0


def present(contenders, what):
    """The contenders whose programs and files exist."""
    found = []
    for contender in contenders:
        needs = [str(contender.command[0]), contender.needs]
        absent = [need for need in needs if not shutil.which(need) and not os.path.exists(need)]
        if absent:
            say(f"{what}: continuing without {contender.label}: {absent[0]} is missing")
        else:
            found.append(contender)
    return found


def adopt_orphans():
    """Makes processes that a shell leaves behind children of this one."""
    set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(set_child_subreaper, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot adopt processes")


def run(command, environment):
    """Runs a command into `cat > /dev/null`."""
    cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    with tempfile.NamedTemporaryFile() as messages:
        start = time.perf_counter()
        # Through a shell, since a process's peak memory includes that of the process that forked
        # it. The shell execs the command, so that this process sees the command's end.
        shell = subprocess.Popen(
            ["sh", "-c", '"$@" 2> "$0" & exec echo $! >&2', messages.name, *command],
            env={**os.environ, **environment}, stdout=cat.stdin, stderr=subprocess.PIPE)
        cat.stdin.close()
        _, status, usage = os.wait4(int(shell.communicate()[1]), 0)
        cat.wait()
        seconds = time.perf_counter() - start
        # The client terminates the server once it has fetched everything.
        if status not in (0, signal.SIGTERM):
            sys.exit(f"benchmark: {command[0]} failed: {messages.read().decode(errors='replace')}")
    return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def measure(contenders, rounds, name, warm_up=True):
    """Runs all contenders in turn, round by round; returns the samples of each.

    The first round is a warm-up and is not counted.
    """
    samples = [[] for _ in contenders]
    for number in range(0 if warm_up else 1, rounds + 1):
        say(f"{name}: " + (f"round {number} of {rounds}" if number else "warming up"))
        for contender, runs in zip(contenders, samples):
            contender.prepare()
            # Data that earlier runs have left to be written to disk would otherwise be written in
            # this run.
            os.sync()
            sample = run(contender.command, contender.environment)
            sample.moved = contender.moved()
            if number:
                runs.append(sample)
    return samples
