#!/usr/bin/env python3
"""Measures nix-image against others over three closures made by Nix; prints Markdown tables.

Each contender is run as a whole process into `cat > /dev/null`, in turn with all the others.
A private store in the benchmark's directory is mounted on /nix, for this process alone.
"""
import argparse
import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Callable

from closures import Closure, enter_store

CHECKOUT = Path(__file__).resolve().parents[2]
CLOSURES = {"large": "Few large files", "small": "Many small files", "mix": "A real mix"}
COLD, WARM = "nix-image, cold", "nix-image, warm"
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"


def main():
    args = parse_arguments()
    enter_store(args.directory)
    if not args.binary.exists():
        sys.exit(f"benchmark: there is no {args.binary}; run `cargo build --release`")
    adopt_orphans()
    about, results, lines = machine(args), {}, []
    for name in args.only:
        closure = Closure.make(name, args.directory)
        results[name] = measure(contenders_for(closure, args), args.rounds, name)
        lines += ["", f"### {CLOSURES[name]}", "", closure.describe(), "",
                  *table(results[name])]
    text = "\n".join([about, *lines, ""])
    print(text, end="")
    if args.json:
        figures = {"machine": about, "closures": results}
        args.json.write_text(json.dumps(figures, indent=1, default=vars) + "\n")
    if args.update:
        before, rest = args.update.read_text().split(BEGIN)
        args.update.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}")


def parse_arguments():
    def path(text):
        return Path(text).resolve()

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = Path(os.environ.get("CARGO_TARGET_DIR") or CHECKOUT / "target")
    script = CHECKOUT.parent / "shared/reference/original_stream_layered_image.py"
    script = os.environ.get("NIX_IMAGE_ORIGINAL_SCRIPT") or script
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=path, default=target / "release/nix-image")
    parser.add_argument("--script", type=path, default=script, metavar="PY",
                        help="the Python script's first version [$NIX_IMAGE_ORIGINAL_SCRIPT]")
    parser.add_argument("--directory", type=path, default=cache / "nix-image-bench", metavar="DIR",
                        help="keeps the store and the archives, 4 GB in all [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="after a first one [%(default)s]")
    parser.add_argument("--only", nargs="+", choices=CLOSURES, default=list(CLOSURES))
    parser.add_argument("--json", type=path, metavar="FILE", help="takes every single figure")
    parser.add_argument("--update", type=path, metavar="FILE",
                        help="a document that gets the tables between its two marks")
    args = parser.parse_args()
    args.script = path(args.script)
    return args


def say(message):
    print(f"benchmark: {message}", file=sys.stderr, flush=True)


# The contenders


@dataclass
class Contender:
    label: str
    command: list
    environment: dict = field(default_factory=dict)
    # Done before each run and not measured.
    prepare: Callable = lambda: None
    # What else has to be there.
    needs: str = "cat"


def contenders_for(closure, args):
    caches = closure.directory / "caches"
    shutil.rmtree(caches, ignore_errors=True)

    def forget_the_changed_path():
        """Makes a cache as runs of the unchanged image have left it."""
        shutil.rmtree(caches / "changed", ignore_errors=True)
        shutil.copytree(caches / "warm", caches / "changed")

    stream, cores = [args.binary, "stream"], str(os.cpu_count())
    listing, batch = closure.file_list(8 * os.cpu_count())
    below = [path.removeprefix("/") for path in closure.paths]
    contenders = [
        Contender(COLD, [*stream, closure.conf, "--no-cache"]),
        Contender(WARM, [*stream, closure.conf], {"XDG_CACHE_HOME": str(caches / "warm")}),
        Contender("nix-image, one path of twenty changed", [*stream, closure.changed],
                  {"XDG_CACHE_HOME": str(caches / "changed")}, forget_the_changed_path),
        Contender("`tar cf -`", ["tar", "-C", "/", "-cf", "-", *below]),
        Contender("`openssl dgst -sha256`, all cores", [
            "xargs", "-0", "-a", listing, "-P", cores, "-n", str(batch), "openssl", "dgst",
            "-sha256"], needs="openssl"),
        Contender("`cat` of the archive", ["cat", closure.archive(args.binary)]),
        Contender("the Python script", [sys.executable, args.script, closure.conf],
                  needs=str(args.script)),
    ]
    present = []
    for contender in contenders:
        needs = [str(contender.command[0]), contender.needs]
        absent = [need for need in needs if not shutil.which(need) and not os.path.exists(need)]
        if absent:
            say(f"{closure.name}: goes on without {contender.label}: there is no {absent[0]}")
        else:
            present.append(contender)
    return present


# Measuring


@dataclass
class Sample:
    seconds: float
    cpu_seconds: float
    peak_mib: float


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
        if status:
            sys.exit(f"benchmark: {command[0]} failed: {messages.read().decode(errors='replace')}")
    return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def measure(contenders, rounds, name):
    samples = {contender.label: [] for contender in contenders}
    for number in range(rounds + 1):
        say(f"{name}: " + (f"round {number} of {rounds}" if number else "warming up"))
        for contender in contenders:
            contender.prepare()
            sample = run(contender.command, contender.environment)
            if number:
                samples[contender.label].append(sample)
    return samples


# The report


def table(samples):
    middle = {label: median(s.seconds for s in runs) for label, runs in samples.items()}
    rows = ["| | seconds | fastest | CPU seconds | to cold | to warm | peak MiB |",
            "|---|--:|--:|--:|--:|--:|--:|"]
    for label, runs in samples.items():
        cells = [label, f"{middle[label]:.3f}", f"{min(s.seconds for s in runs):.3f}",
                 f"{median(s.cpu_seconds for s in runs):.2f}",
                 f"{middle[label] / middle[COLD]:.2f}", f"{middle[label] / middle[WARM]:.2f}",
                 f"{max(s.peak_mib for s in runs):.0f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def machine(args):
    processor = Path("/proc/cpuinfo").read_text()
    model = [line.split(": ")[1] for line in processor.splitlines() if "model name" in line]
    extensions = "with" if " sha_ni" in processor or " sha2" in processor else "without"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = [subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[0]
                for command in ([args.binary, "--version"], ["openssl", "version"],
                                ["tar", "--version"]) if shutil.which(command[0])]
    return (f"{(model or [platform.machine()])[0]} ({extensions} SHA-256 instructions), "
            f"{os.cpu_count()} cores, {memory:.0f} GB; Linux {platform.release()}; "
            f"{', '.join(versions)}; Python {platform.python_version()}. "
            f"Rounds: {args.rounds}, on {time.strftime('%Y-%m-%d')}; load when they began: "
            f"{os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
