# Prepended to each script. All drivers define `machine`, `subtest` and:
#   engine   the program that loads and runs images: docker, podman
#   images   for each image: `archive`, a command that prints it; `file`, what
#            Nix has built; `program`, how to run that if it is a program; `conf`,
#            its conf as a dictionary, `confFile`, where that is; `imageName`, `imageTag`;
#            None for what it lacks
#   stream   a function: the command that prints the archive of a conf's file
#   nix_image, registry  how to run nix-image, and a registry
#   store    where the store is on the machine
#   unpacks  the compressors whose archives the engine loads
#   unit_command  the command of the NixOS module's units
#   as_user  a prefix that runs a command as the engine's user, if not root
#   layers_are  how `nix-image load` may get layers into the engine: "linked", "copied", "sent"
#   scratch  a folder on the engine's disk
#   image_id_is_config: whether the engine's image IDs are the configs' digests
import json
import shlex


# What `nix-image load --engine` calls the engine.
KIND = {"ctr": "containerd"}.get(engine.split()[-1], engine.split()[-1])


def reference(name):
    return f"{images[name]['imageName']}:{images[name]['imageTag']}"


def archive(name, unpacks):
    """The command that prints the archive, as a tar if the reader does not decompress it."""
    suffix = images[name]["file"].rpartition(".")[2]
    program = {"gz": "gzip", "zst": "zstd"}.get(suffix)
    unpack = f" | {program} -dc" if program and program not in unpacks else ""
    return images[name]["archive"] + unpack


def load(name):
    machine.succeed(f"{archive(name, unpacks)} | {engine} load")


def command_line(name, command, options):
    return f"{engine} run --rm --network none {options} {reference(name)} {shlex.join(command)}"


def run(name, *command, options=""):
    """The output of a container of the image, both on standard output and in its terminal."""
    return printed(command_line(name, command, options))


def runs(name, *command, options=""):
    """Runs a container that may print nothing."""
    machine.succeed(command_line(name, command, options))


def run_fails(name, *command, options=""):
    return machine.fail(command_line(name, command, options))


def printed(command):
    """What the container prints that the command runs.

    ctr 2, and on a busy machine the other engines, may end before any of it has arrived. Then the
    container is run again.
    """
    for _ in range(10):
        said = machine.succeed(command).replace("\r\n", "\n")
        if said:
            break
    return said


def full_name(name):
    return f"docker.io/library/{name}" if engine == "ctr" else name


def started(name, *command):
    """The output of a container, which leaves nothing behind."""
    if engine != "ctr":
        return run(name, *command)
    return printed(f"ctr run --rm {shlex.join([full_name(reference(name)), 'once', *command])}")


def unload(name):
    if engine == "ctr":
        machine.succeed(f"ctr images rm --sync {full_name(name)}")
    else:
        machine.succeed(f"{engine} rmi --force {name}")


def unload_all():
    """Removes every image without a container."""
    if engine == "ctr":
        machine.succeed("ctr images ls --quiet | xargs --no-run-if-empty ctr images rm --sync")
    else:
        machine.succeed(f"{engine} image prune --all --force")


def has(name):
    if engine == "ctr":
        return machine.succeed(f"ctr images ls --quiet name=={full_name(name)}") != ""
    # Also if the image is incomplete.
    return machine.succeed(f"{engine} images --quiet {name}") != ""


def inspect(name):
    return json.loads(machine.succeed(f"{engine} image inspect {reference(name)}"))[0]


def layers(name):
    return inspect(name)["RootFS"]["Layers"]


def in_archive(name, member):
    """A JSON file in the archive that the image's stream is."""
    return json.loads(machine.succeed(f"{images[name]['archive']} | tar -xOf - {member}"))


def store_paths(name):
    """The store paths that the image should contain."""
    return sorted(path for layer in images[name]["conf"]["store_layers"] for path in layer)


def expect(actual, expected):
    assert actual == expected, f"expected {expected!r}, got {actual!r}"


def expect_in(part, whole):
    assert part in whole, f"expected {part!r} in {whole!r}"
