"""What layouts move over series of updates, as counted by `nix-image simulate`."""

import json
import subprocess
from math import prod

LIMITS = (20, 100)
HEAD = ["| updates, `maxLayers` | auto, GB | one layer per path | ordered | ordered with own "
        "| delta | delta with own |", "|---|---|---|---|---|---|---|"]


def simulate(series, own, args):
    """The outcomes by kind of update, limit and layout, in the order of the images."""
    options = [f"--limit={','.join(map(str, LIMITS))}", *(f"--own={name}" for name in own)]
    done = subprocess.run([args.binary, "simulate", "--json", *options, *series],
                          check=True, stdout=subprocess.PIPE)
    found = {}
    for outcome in json.loads(done.stdout):
        # A layer for each path has no limit, so it is compared with every limit.
        for limit in [outcome["limit"]] if outcome["limit"] else LIMITS:
            key = outcome["kind"], limit, outcome["strategy"]
            found.setdefault(key, []).append(outcome["sum"])
    return found


def tables(args):
    """Geometric means over the images of what each layout pushes and unpacks, relative to auto."""
    plain = simulate(args.series, [], args)
    named = simulate(args.series, args.own, args)
    lines = list(HEAD)
    for kind, limit in sorted({key[:2] for key in plain}):
        auto = plain[kind, limit, "auto"]
        total = " / ".join(f"{sum(image[key] for image in auto) / 1e9:.1f}"
                           for key in ("pushed", "unpacked"))
        layouts = [(plain, "paths"), (plain, "ordered"), (named, "ordered"),
                   (plain, "delta"), (named, "delta")]
        ratios = [beside(found[kind, limit, layout], auto) for found, layout in layouts]
        lines.append(f"| {kind}, {limit} | {total} | {' | '.join(ratios)} |")
    return lines


def beside(images, autos):
    def mean(key):
        ratios = [image[key] / auto[key] for image, auto in zip(images, autos)]
        return prod(ratios) ** (1 / len(ratios))

    return f"{mean('pushed'):.2f} / {mean('unpacked'):.2f}"
