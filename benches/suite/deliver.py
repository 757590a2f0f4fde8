"""Measures the deliveries: into engines, registries and files, with servers started for this."""
import shutil
import subprocess
from contextlib import ExitStack
from statistics import median

from bench import Bench
from loads import loads
from measuring import say
from pushes import pushes
from registry import Registry, engines
from writes import writes

# The contents of files do not affect loads. They do affect pushes, which compress.
LOADED = ("large",)
PROGRAMS = ("dockerd", "docker", "podman", "skopeo", "docker-registry")


def deliver(closure, args):
    """Measures all deliveries of a closure; returns the samples by table, group and label."""
    folder = closure.directory / "deliver"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    bench, found = Bench(closure, args, folder), {}
    with ExitStack() as running:
        docker, podman, registry = (
            start(running, kind, folder) for kind in (engines.Docker, engines.Podman, Registry))
        if closure.name in LOADED:
            for engine in filter(None, (docker, podman)):
                title = f"Load into {engine.command}, storage driver {engine.storage}"
                found[title] = bench.measure(loads(bench, engine))
            found["Write and serve"] = bench.measure(writes(bench))
        if registry:
            found["Push"] = bench.measure(pushes(bench, registry, docker))
    shutil.rmtree(folder)
    return found


def start(running, kind, folder):
    """Starts a server in the folder, or logs why it does not run and returns None."""
    try:
        return running.enter_context(kind(folder))
    except (OSError, TypeError, SystemExit, subprocess.CalledProcessError) as error:
        say(f"continuing without {kind.command}: {error}")
        return None


def tables(found):
    """The tables, each with its title."""
    for title, groups in found.items():
        every = [sample for runs in groups.values() for samples in runs.values()
                 for sample in samples]
        # If bytes are moved, the client is one process, so its CPU time is known.
        moved = ["CPU seconds", "MB sent"] if any(sample.moved for sample in every) else []
        # Runs without groups are not compared.
        most = max(len(ours(runs)) for runs in groups.values()) if any(groups) else 0
        ratios = ["to 1st", "to 2nd"][:most]
        columns = ["seconds", "fastest", *ratios, *moved, "peak MiB"]
        yield from ("", f"#### {title}", "", f"| | {' | '.join(columns)} |",
                    "|---" + "|--:" * len(columns) + "|")
        for group, runs in groups.items():
            if group:
                yield f"| **{group}** |" + " |" * len(columns)
            yield from rows(runs, len(ratios), moved)


def ours(runs):
    return [label for label in runs if "nix-image" in label]


def rows(runs, ratios, moved):
    middle = {label: median(sample.seconds for sample in samples)
              for label, samples in runs.items()}
    for label, samples in runs.items():
        to = [f"{middle[label] / middle[one]:.2f}" for one in ours(runs)[:ratios]]
        cells = [label, f"{middle[label]:.3f}", f"{min(sample.seconds for sample in samples):.3f}",
                 *to, *[""] * (ratios - len(to))]
        if moved:
            cells.append(f"{median(sample.cpu_seconds for sample in samples):.2f}")
            cells.append(f"{max(sample.moved for sample in samples) / 1e6:.1f}")
        cells.append(f"{max(sample.peak_mib for sample in samples):.0f}")
        yield f"| {' | '.join(cells)} |"
