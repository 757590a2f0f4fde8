"""Loads into engines."""
import sys

from bench import Memory, quietly
from measuring import Contender


def loads(bench, engine):
    """Loads of an image that the engine has, and of one where another path of twenty changed."""
    program, memory = engine.command, Memory(bench, engine.command)
    environment = {**engine.environment(), "HOME": str(bench.folder),
                   "XDG_CACHE_HOME": str(memory.used)}
    if program == "docker":
        environment["DOCKER_HOST"] = engine.address
    # Linking is measured separately.
    sent = ["--import", "off"] if program == "podman" else []
    load = [bench.nix_image, "load", "--engine", program, *sent]
    # Under this name, the engine keeps all layers of the first image throughout.
    quietly([*load, bench.closure.conf, "-t", f"{bench.name}:base"], environment)
    memory.keep()

    def hold_the_image():
        memory.restore()
        quietly([*load, bench.closure.conf], environment)

    def hold_all_but_the_changed_layers():
        hold_the_image()
        quietly([program, "image", "prune", "--force"], environment)

    def ours(which, prepare):
        label = f"`{' '.join(['nix-image load', *sent])}`"
        return Contender(label, [*load, bench.confs[which]], environment, prepare)

    def archive(which, prepare):
        return Contender(f"`{program} load` of a finished archive",
                         [program, "load", "--input", bench.archives[which]], environment, prepare)

    # The script writes everything whatever has changed, so once is enough.
    script = Contender(f"the Python script, into `{program} load`",
                       ["sh", "-c", '"$0" "$1" "$2" | "$3" load', sys.executable, bench.script,
                        bench.confs["same"], program],
                       environment, hold_the_image, needs=bench.script)
    same, changed = ("same", hold_the_image), ("changed", hold_all_but_the_changed_layers)
    return {"nothing changed": [ours(*same), script, archive(*same)],
            "one path of twenty changed": [ours(*changed), archive(*changed)]}
