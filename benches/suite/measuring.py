"""Runs contenders as whole processes, in turn, and notes what each run took."""
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
    # Done before each run and not measured.
    prepare: Callable = lambda: None
    # What else has to be there.
    needs: str = "cat"
    # What a run has moved, in bytes, if that is to be known.
    moved: Callable = lambda: 0


@dataclass
class Sample:
    seconds: float
    cpu_seconds: float
    peak_mib: float
    moved: int = 0


def present(contenders, what):
    """Those whose programs and files are there."""
    found = []
    for contender in contenders:
        needs = [str(contender.command[0]), contender.needs]
        absent = [need for need in needs if not shutil.which(need) and not os.path.exists(need)]
        if absent:
            say(f"{what}: goes on without {contender.label}: there is no {absent[0]}")
        else:
            found.append(contender)
    return found


def adopt_orphans():
    """Has the processes that a shell leaves behind become this one's children."""
    set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(set_child_subreaper, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot adopt processes")


def run(command, environment):
    """Runs a command into `cat > /dev/null`."""
    cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    with tempfile.NamedTemporaryFile() as messages:
        start = time.perf_counter()
        # By way of a shell, as a process's peak memory includes that of the one that forked it.
        # The shell ends by exec, so that it leaves the process's end to this one to see.
        shell = subprocess.Popen(
            ["sh", "-c", '"$@" 2> "$0" & exec echo $! >&2', messages.name, *command],
            env={**os.environ, **environment}, stdout=cat.stdin, stderr=subprocess.PIPE)
        cat.stdin.close()
        _, status, usage = os.wait4(int(shell.communicate()[1]), 0)
        cat.wait()
        seconds = time.perf_counter() - start
        # A server is ended by who has asked it for all.
        if status not in (0, signal.SIGTERM):
            sys.exit(f"benchmark: {command[0]} failed: {messages.read().decode(errors='replace')}")
    return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def measure(contenders, rounds, name, warm_up=True):
    """Runs all contenders in turn, round by round; returns the samples of each.

    The first round of all, to warm up, is not counted.
    """
    samples = [[] for _ in contenders]
    for number in range(0 if warm_up else 1, rounds + 1):
        say(f"{name}: " + (f"round {number} of {rounds}" if number else "warming up"))
        for contender, runs in zip(contenders, samples):
            contender.prepare()
            # What others have left to be written to disk would be written during this run.
            os.sync()
            sample = run(contender.command, contender.environment)
            sample.moved = contender.moved()
            if number:
                runs.append(sample)
    return samples
