"""Examining an image and planning one: what a person waits for."""

import json
import os
import random
import subprocess
from statistics import median

from measuring import Contender, measure, say

HEAD = ["| | seconds | fastest | CPU seconds | peak MiB |", "|---|--:|--:|--:|--:|"]
GRAPHS = {2000: "2,000 paths", 10000: "10,000 paths"}
STRATEGIES = ("auto", "popularity", "ordered", "delta")
# The approximate number of references of a path of nixpkgs.
REFERENCES = 6
MAX_LAYERS = 100


def look(closure, args):
    """The samples of each command about a closure's image, by label."""
    environment = {"XDG_CACHE_HOME": str(closure.directory / "caches" / "looks")}
    archive = closure.archive(args.binary)
    conf, changed = (with_references(closure, conf) for conf in (closure.conf, closure.changed))
    middle = os.path.basename(closure.paths[len(closure.paths) // 2])
    images = {"conf": (conf, changed), "archive": (archive, conf)}
    contenders = []
    for kind, (image, other) in images.items():
        for label, command in {
            "inspect --json": ["inspect", image, "--json"],
            "inspect --html": ["inspect", image, "--html", "-"],
            "diff": ["diff", image, other],
            "why": ["why", image, middle],
            "tree": ["tree", image],
        }.items():
            label = f"`{label}`, {kind}"
            contenders.append(Contender(label, [args.binary, *command], environment))
    cold = [args.binary, "inspect", conf, "--json", "--no-cache"]
    contenders.append(Contender("`inspect --json`, conf, no digest remembered", cold))
    samples = measure(contenders, args.rounds, f"looks at {closure.name}")
    return {contender.label: runs for contender, runs in zip(contenders, samples)}


def plan(args):
    """The samples of planning layers for graphs of several sizes, by label."""
    contenders = []
    for count, label in GRAPHS.items():
        graph = write_graph(args.directory, count)
        previous = graph.with_suffix(".layers")
        command = [args.binary, "plan", graph, f"--limit={MAX_LAYERS}"]
        with open(previous, "wb") as output:
            subprocess.run([*command, "--strategy=ordered"], check=True, stdout=output)
        for strategy in STRATEGIES:
            options = [f"--strategy={strategy}"]
            if strategy == "delta":
                options.append(f"--previous={previous}")
            contenders.append(Contender(f"`{strategy}`, {label}", [*command, *options]))
    samples = measure(contenders, args.rounds, "plans")
    return {contender.label: runs for contender, runs in zip(contenders, samples)}


def write_graph(directory, count):
    """A closure of this size, as Nix exports it: paths refer to earlier ones, mostly to a few."""
    numbers = random.Random(count)
    path = directory / f"graph-{count}.json"
    names = [f"/nix/store/{numbers.getrandbits(160):032x}-package-{n}"[:90] for n in range(count)]
    nodes = []
    for number, name in enumerate(names):
        targets = {int(number * numbers.random() ** 3) for _ in range(min(number, REFERENCES))}
        nodes.append({
            "path": name,
            "narSize": int(numbers.lognormvariate(11, 2.5)),
            "references": [names[target] for target in sorted(targets)],
        })
    path.write_text(json.dumps({"graph": nodes}))
    say(f"made a graph of {count} paths")
    return path


def with_references(closure, conf):
    """Writes a conf with the references of its paths, like those of our functions."""
    said = json.loads(conf.read_text())
    paths = [path for layer in said["store_layers"] for path in layer]
    # The benchmark's paths have no references, so each refers to the next one, to get a tree.
    references = {path: paths[number + 1:number + 2] for number, path in enumerate(paths)}
    named = closure.directory / f"look-{conf.name}"
    named.write_text(json.dumps({**said, "references": references}))
    return named


def table(samples):
    lines = list(HEAD)
    for label, runs in samples.items():
        seconds = [run.seconds for run in runs]
        cells = [label, f"{median(seconds):.3f}", f"{min(seconds):.3f}",
                 f"{median(run.cpu_seconds for run in runs):.2f}",
                 f"{max(run.peak_mib for run in runs):.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
