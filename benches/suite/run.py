#!/usr/bin/env python3
"""Measures nix-image against others over closures made by Nix; prints Markdown tables.

Each contender runs as a whole process, in turn with all the others: first the streams into
`cat > /dev/null`, then the deliveries into engines and a registry started for the benchmark.
A private store in the benchmark's directory is mounted on /nix, for this process only.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import deliver
import deploys
import layouts
import links
import looks
from closures import Closure, enter_store
from measuring import Contender, adopt_orphans, measure, present

CHECKOUT = Path(__file__).resolve().parents[2]
CLOSURES = {"large": "Few large files", "small": "Many small files", "mix": "A real mix"}
TITLES = {**CLOSURES, "deploy": "One small program of 121 paths"}
DELIVERIES = {f"deliver-{name}": name for name in ("large", "mix")}
LINKS = {f"link-{name}": name for name in ("large", "small")}
COLD, WARM = "nix-image, cold", "nix-image, warm"
LOOKS = {f"look-{name}": name for name in ("large", "mix")}
PLANS, LAYOUTS, DEPLOYS = "plans", "layouts", "deploys"
MARKS = ("<!-- {part}: begin -->", "<!-- {part}: end -->")


def main():
    args = parse_arguments()
    if not args.binary.exists():
        sys.exit(f"benchmark: {args.binary} does not exist; run `cargo build --release`")
    if LAYOUTS in args.only and args.series:
        text = "\n".join([*layouts.tables(args), ""])
        print(text, end="", flush=True)
        update(args, LAYOUTS, text)
    if args.only == [LAYOUTS]:
        return
    enter_store(args.directory)
    adopt_orphans()
    # Servers are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("benchmark: terminated"))
    figures = {}
    streamed = [name for name in args.only if name in CLOSURES]
    delivered = [DELIVERIES[name] for name in args.only if name in DELIVERIES]
    if streamed:
        report(args, figures, "benchmark", ("openssl", "tar"), args.rounds, streamed,
               measure_streams)
    if delivered:
        report(args, figures, "deliveries", deliver.PROGRAMS, args.deliver_rounds, delivered,
               measure_deliveries)
    linked = [LINKS[name] for name in args.only if name in LINKS]
    if linked:
        report(args, figures, "links", links.PROGRAMS, args.deliver_rounds, linked, measure_links)
    looked = [LOOKS[name] for name in args.only if name in LOOKS]
    if looked:
        report(args, figures, "looks", (), args.rounds, looked, measure_looks)
    if PLANS in args.only:
        found = looks.plan(args)
        figures["plans"] = found
        text = "\n".join([machine(args, (), args.rounds) + ".", "", *looks.table(found), ""])
        print(text, end="", flush=True)
        update(args, PLANS, text)
    if DEPLOYS in args.only:
        report(args, figures, DEPLOYS, deploys.PROGRAMS, args.deliver_rounds, ["deploy"],
               measure_deploys)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1, default=vars) + "\n")


def report(args, figures, part, programs, rounds, names, measure_one):
    """Measures some closures, and prints the tables of that part or puts them into a document."""
    lines, results = [machine(args, programs, rounds)], {}
    for name in names:
        closure = Closure.make(name, args.directory)
        results[name], tables = measure_one(closure, args)
        lines += ["", f"### {TITLES[name]}", "", closure.describe(), *tables]
    lines[0] += f", when they ended: {os.getloadavg()[0]:.1f}."
    figures[part] = {"machine": lines[0], "closures": results}
    text = "\n".join([*lines, ""])
    print(text, end="", flush=True)
    update(args, part, text)


def update(args, part, text):
    """Puts a part into the document that receives the tables."""
    if args.update:
        begin, end = (mark.format(part=part) for mark in MARKS)
        before, rest = args.update.read_text().split(begin)
        args.update.write_text(f"{before}{begin}\n\n{text}\n{end}{rest.split(end)[1]}")


def measure_streams(closure, args):
    contenders = contenders_for(closure, args)
    samples = measure(contenders, args.rounds, closure.name)
    found = {contender.label: runs for contender, runs in zip(contenders, samples)}
    return found, ["", *table(found)]


def measure_deliveries(closure, args):
    found = deliver.deliver(closure, args)
    return found, deliver.tables(found)


def measure_links(closure, args):
    found = links.link(closure, args)
    return found, deliver.tables(found)


def measure_looks(closure, args):
    found = looks.look(closure, args)
    return found, ["", *looks.table(found)]


def measure_deploys(closure, args):
    found, moved = deploys.deploys(closure, args)
    named = {engine: {" ".join(label): runs for label, runs in every.items()}
             for engine, every in found.items()}
    return named, deploys.tables(found, moved)


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
                        help="for the store and the archives, 4 GB in total [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="after a warm-up round [%(default)s]")
    parser.add_argument("--deliver-rounds", type=int, default=3, metavar="ROUNDS",
                        help="of the deliveries [%(default)s]")
    parser.add_argument("--series", nargs="+", type=path, default=[], metavar="FILE",
                        help="series of updates to simulate layouts over")
    parser.add_argument("--own", nargs="+", default=[], metavar="NAME",
                        help="the packages of the series that are the user's own")
    parts = [*CLOSURES, *DELIVERIES, *LINKS, *LOOKS, DEPLOYS, PLANS, LAYOUTS]
    parser.add_argument("--only", nargs="+", choices=parts, default=parts,
                        help="the streams of these closures, their deliveries, links and looks, and "
                             "plans [all]")
    parser.add_argument("--json", type=path, metavar="FILE", help="write all figures to this file")
    parser.add_argument("--update", type=path, metavar="FILE",
                        help="a document to insert the tables into, between its marks")
    args = parser.parse_args()
    args.script = path(args.script)
    return args


# The contenders


def contenders_for(closure, args):
    caches = closure.directory / "caches"
    shutil.rmtree(caches, ignore_errors=True)

    def forget_the_changed_path():
        """Creates a cache like that after runs of the unchanged image."""
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
    return present(contenders, closure.name)


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


def machine(args, programs, rounds):
    processor = Path("/proc/cpuinfo").read_text()
    model = [line.split(": ")[1] for line in processor.splitlines() if "model name" in line]
    extensions = "with" if " sha_ni" in processor or " sha2" in processor else "without"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = [version(program) for program in (args.binary, *programs) if shutil.which(program)]
    return (f"{(model or [platform.machine()])[0]} ({extensions} SHA-256 instructions), "
            f"{os.cpu_count()} cores, {memory:.0f} GB; Linux {platform.release()}; "
            f"{', '.join(versions)}; Python {platform.python_version()}. "
            f"Rounds: {rounds}, on {time.strftime('%Y-%m-%d')}; load when they began: "
            f"{os.getloadavg()[0]:.1f}")


def version(program):
    # Only openssl has no such option.
    option = "version" if program == "openssl" else "--version"
    done = subprocess.run([program, option], capture_output=True, text=True)
    return done.stdout.split("\n")[0]


if __name__ == "__main__":
    main()
