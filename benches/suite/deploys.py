"""Deploys of a small program of the user's, in an image with many layers that an engine has."""
import json
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import quietly
from deliver import start
from measuring import Contender, measure
from registry import Registry, engines

PROGRAMS = ("dockerd", "podman", "containerd", "docker-registry")
ENGINES = {"docker": engines.Docker, "podman": engines.Podman, "containerd": engines.Containerd}
STRATEGIES = ("auto", "ordered", "delta")
LAYERS = 60
WAYS = {"pulled": "`{command}` of the new image", "loaded": "`nix-image load` of it"}


@dataclass
class Layout:
    """The image before and after a deploy, as a strategy plans them."""
    strategy: str
    before: Path
    after: Path
    moved: dict


def deploys(closure, args):
    """The samples by engine, way and strategy, and the bytes that each layout moves on paper."""
    folder = closure.directory / "deploys"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    layouts = [lay_out(closure, args, strategy, folder) for strategy in STRATEGIES]
    found = {}
    with ExitStack() as running:
        registry = start(running, Registry, folder)
        for name, kind in ENGINES.items():
            engine = start(running, kind, folder)
            if engine:
                found[name] = deploy(registry, name, engine, layouts, args, folder)
    shutil.rmtree(folder)
    return found, {layout.strategy: layout.moved for layout in layouts}


def lay_out(closure, args, strategy, folder):
    """Plans both images. The paths and the files at the root are built by Nix."""
    previous, confs = [], []
    for conf in (closure.conf, closure.changed):
        said = json.loads(conf.read_text())
        graph = folder / f"{conf.name}.graph"
        graph.write_text(json.dumps(nodes(said["store_layers"])))
        command = [args.binary, "plan", graph, "--strategy", strategy, "--limit", str(LAYERS - 1)]
        said["store_layers"] = json.loads(told([*command, *previous]))
        confs.append(folder / f"{strategy}-{conf.name}")
        confs[-1].write_text(json.dumps(said))
        if strategy == "delta":
            lock = folder / "layers.lock.json"
            lock.write_text(told([args.binary, "layers", confs[-1]]))
            previous = ["--previous", lock]
    moved = json.loads(told([args.binary, "diff", "--json", *confs]))
    return Layout(strategy, *confs, moved)


def nodes(layers):
    """A graph of the paths: each needs two of its predecessors, the program the first few."""
    paths = [path for layer in layers for path in layer]
    middle = len(paths) // 2
    libraries = [*paths[:middle], *paths[middle + 1:]]
    needs = {path: {libraries[number // 2], libraries[number // 3]} - {path}
             for number, path in enumerate(libraries)}
    needs[paths[middle]] = set(libraries[:4])
    return [{"path": path, "narSize": size(Path(path)), "references": sorted(needs[path])}
            for path in paths]


def size(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def told(command):
    done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def deploy(registry, engine, running, layouts, args, folder):
    """An engine's deploys, by way and strategy."""
    environment = {**running.environment(), "HOME": str(folder)}
    load, pull = [args.binary, "load", "--engine", engine, "--tag"], PULL[engine]
    # dockerd before 23 can unpack only gzip.
    push = [args.binary, "push", "--compression", "gzip"]
    contenders = []

    def compare(way, layout, hold_the_old, take_the_new):
        def prepare():
            quietly(["sh", "-c", EMPTY[engine]], environment)
            quietly(hold_the_old, environment)

        contenders.append(Contender((way, layout.strategy), take_the_new, environment, prepare))

    for layout in layouts:
        if registry:
            old, new = (f"{registry.address}/{layout.strategy}:{tag}" for tag in ("old", "new"))
            for conf, reference in ((layout.before, old), (layout.after, new)):
                quietly([*push, conf, reference], environment)
            compare("pulled", layout, [*pull, old], [*pull, new])
        compare("loaded", layout, [*load, "app:old", layout.before],
                [*load, "app:new", layout.after])
    samples = measure(contenders, args.deliver_rounds, engine, warm_up=False)
    return {contender.label: runs for contender, runs in zip(contenders, samples)}


PULL = {"docker": ["docker", "pull", "--quiet"],
        "podman": ["podman", "pull", "--quiet", "--tls-verify=false"],
        "containerd": ["ctr", "images", "pull", "--plain-http"]}
EMPTY = {"docker": "docker system prune --all --force",
         "podman": "podman rmi --all --force",
         "containerd": "ctr images ls --quiet | xargs --no-run-if-empty ctr images rm --sync"}


def tables(found, moved):
    """The bytes moved, and the time that each engine takes."""
    yield from ("", "| | layers | MB pushed | MB unpacked |", "|---|--:|--:|--:|")
    for strategy, said in moved.items():
        pushed, unpacked = (said[kind]["bytes"] / 1e6 for kind in ("fetched", "unpacked"))
        yield f"| {strategy} | {said['new']['layers']} | {pushed:.1f} | {unpacked:.1f} |"
    yield from ("", "| seconds (fastest) | " + " | ".join(STRATEGIES) + " |",
                "|---" + "|--:" * len(STRATEGIES) + "|")
    for engine, runs in found.items():
        command = " ".join(word for word in PULL[engine] if not word.startswith("-"))
        for way, title in WAYS.items():
            cells = [cell(runs[way, strategy]) for strategy in STRATEGIES
                     if (way, strategy) in runs]
            if cells:
                said = title.format(command=command)
                yield f"| {engine}: {said} | {' | '.join(cells)} |"


def cell(samples):
    seconds = [sample.seconds for sample in samples]
    return f"{median(seconds):.2f} ({min(seconds):.2f})"
