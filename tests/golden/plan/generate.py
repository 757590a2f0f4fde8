#!/usr/bin/env python3
"""Writes the answers of nixpkgs' own programs into the cases.

    generate.py NIXPKGS [CASE.json...]

Needs Python 3.11 to 3.13 with igraph and toolz. README.md describes a case.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# As in nixpkgs' builds; the order of Python's sets depends on it.
ENVIRONMENT = {**os.environ, "PYTHONHASHSEED": "0"}


class Nixpkgs:
    """The programs of a checkout, run on files in a folder."""

    def __init__(self, tree, folder):
        support = tree / "pkgs/build-support"
        self.auto_layer = support / "docker/auto-layer.py"
        self.closure_graph = support / "references-by-popularity/closure-graph.py"
        # The directory's name differs between releases.
        self.flatten = next(tree.glob("pkgs/*/**/flatten_references_graph/__main__.py")).parents[1]
        self.folder = folder

    def file(self, name, content):
        path = self.folder / name
        path.write_text(content)
        return path

    def run(self, *command, path=None):
        """What a program prints, or None if it fails."""
        done = subprocess.run(
            [sys.executable, *command],
            env={**ENVIRONMENT, "PYTHONPATH": str(path or "")},
            capture_output=True,
            text=True,
        )
        return done.stdout if done.returncode == 0 else None

    def auto(self, graph, case):
        excluded = self.file("excluded", "".join(f"{path}\n" for path in case["exclude"]))
        graph = self.file("graph.json", json.dumps(graph))
        return json.loads(self.run(self.auto_layer, graph, excluded, str(case["limit"])))

    def popularity(self, graph):
        attributes = self.file("attrs.json", json.dumps({"graph": graph}))
        return self.run(self.closure_graph, attributes, "graph").split()

    def pipeline(self, graph, case):
        question = {
            "graph": graph,
            "pipeline": case["pipeline"],
            "exclude_paths": case["exclude"],
        }
        question = self.file("question.json", json.dumps(question))
        answer = self.run("-m", "flatten_references_graph", question, path=self.flatten)
        return answer and json.loads(answer)


def questions(graph, name):
    """The questions about a graph that comes without any: always the same for a name."""
    chance = random.Random(name)
    paths = [node["path"] for node in graph]

    def some(count):
        return chance.sample(paths, min(count, len(paths)))

    split = [*some(1), {"children_of": some(1)[0]}]
    rest = ["pipe", [["popularity_contest"], ["limit_layers", 4]]]
    pipelines = [
        [["popularity_contest"]],
        [["popularity_contest"], ["limit_layers", 5]],
        [["split_paths", some(2)], ["over", "rest", rest]],
        [["split_paths", some(3)]],
        [["subcomponent_in", some(2)], ["over", "rest", rest]],
        [["subcomponent_out", some(2)], ["over", "main", rest[1][0]], ["flatten"], ["reverse"]],
        [["remove_paths", some(2)], ["popularity_contest"], ["limit_layers", 6]],
        [["popularity_contest"], ["split_every", 4], ["map", ["limit_layers", 1]]],
        [["split_paths", split]],
    ]
    excluded = [[], some(2)]
    return {
        "auto": [{"limit": n, "exclude": x} for n in [1, 2, 5, 20, 99] for x in excluded],
        "pipeline": [{"pipeline": p, "exclude": x} for p in pipelines for x in excluded],
    }


def answer(nixpkgs, case, name):
    graph = case["graph"]
    case = {**questions(graph, name), **case}
    for question in case["auto"]:
        question["layers"] = nixpkgs.auto(graph, question)
    for question in case["pipeline"]:
        question.pop("layers", None)
        layers = nixpkgs.pipeline(graph, question)
        if layers is not None:
            question["layers"] = layers
    popularity = nixpkgs.popularity(graph)
    order = {"graph": graph, "auto": case["auto"], "popularity": popularity}
    return {**order, "pipeline": case["pipeline"]}


def main():
    tree, *cases = map(pathlib.Path, sys.argv[1:])
    for path in cases or sorted(HERE.glob("*.json")):
        with tempfile.TemporaryDirectory() as folder:
            nixpkgs = Nixpkgs(tree.resolve(), pathlib.Path(folder))
            answered = answer(nixpkgs, json.loads(path.read_text()), path.stem)
        path.write_text(json.dumps(answered, separators=(",", ":")))
        print(path.name, flush=True)


if __name__ == "__main__":
    main()
