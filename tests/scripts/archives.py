# Tests mergeImages, exportImage and images on other kinds of base images.
import contextlib


def forget(*names):
    """Removes images, so that one found later was loaded later."""
    for name in names:
        machine.execute(f"{engine} image rm --force {reference(name)}")
        machine.fail(f"{engine} image inspect {reference(name)}")


def merged_tar(name):
    """The command that prints the merged archive as a tar. Its name has no suffix."""
    return f"{images[name]['archive']} | gzip -dcf"


def load_merged(name, *held):
    """Loads an archive of several images, whose names are in `held`."""
    forget(*held)
    machine.succeed(f"{merged_tar(name)} | {engine} load")


def diff_ids(name):
    """The layers that the image should have, from its archive."""
    tar = archive(name, [])
    manifest = json.loads(machine.succeed(f"{tar} | tar -xOf - manifest.json"))[0]
    config = json.loads(machine.succeed(f"{tar} | tar -xOf - {manifest['Config']}"))
    return config["rootfs"]["diff_ids"]


def imported(name, *command):
    """The output of a command in a container of the imported tar."""
    machine.succeed(f"{images[name]['archive']} | {engine} import - imported-{name}:latest")
    return printed(
        f"{engine} run --rm --network none imported-{name}:latest {shlex.join(command)}"
    )


with subtest("All images of a merged archive are there, with their layers"):
    merged = ["owned", "no-tag-layered", "generation-1"]
    load_merged("merged", *merged)
    for name in merged:
        expect(layers(name), diff_ids(name))

with subtest("A merged image keeps its owners"):
    expect(run("owned", "stat", "-c", "%u", "/home/alice"), "1000\n")

with subtest("A merged image without a tag has the one that Nix gives it"):
    expect(run("no-tag-layered", "/bin/hello"), "Hello from hello!\n")

with subtest("A program that streams an image is merged without an archive"):
    expect(run("generation-1"), "Hello from generation-1!\n")

with subtest("An image is merged with its base, and their layers are there once"):
    load_merged("merged-with-base", "on-top", "layered")
    expect(run("layered"), "Hello from hello!\n")
    expect(run("on-top"), "hello\n(extraCommand)\n")
    base = diff_ids("layered")
    expect(layers("on-top")[: len(base)], base)
    members = machine.succeed(f"{merged_tar('merged-with-base')} | tar -t").split()
    layer_files = [name for name in members if name.endswith("/layer.tar")]
    expect(len(layer_files), len(set(base + diff_ids("on-top"))))

with subtest("Images of several compressors are merged, and compressed as the last one is"):
    merged = ["plain-file", "zstd-file", "gz-file"]
    machine.succeed(f"{images['merged-compressors']['archive']} | gzip -t")
    load_merged("merged-compressors", *merged)
    for name in merged:
        expect(run(name), "Hello from hello!\n")

with subtest("An exported image can be imported, as one layer"):
    expect(
        imported("exported", "/greeter/bin/only-in-the-link"),
        "Hello from only-in-the-link!\n",
    )
    shown = json.loads(machine.succeed(f"{engine} image inspect imported-exported:latest"))[0]
    expect(len(shown["RootFS"]["Layers"]), 1)

with subtest("Exported files keep their owners, modes and links"):
    expect(
        imported("exported", "/bin/stat", "-c", "%F %a %u:%g", "/home/alice", "/bin", "/greeter"),
        "directory 755 1000:0\ndirectory 755 0:0\nsymbolic link 777 0:0\n",
    )
    expect_in("/nix/store/", imported("exported", "/bin/readlink", "/bin/bash"))

with subtest("Exported files have one time"):
    times = imported("exported", "/bin/stat", "-c", "%Y", "/home/alice", "/nix/store", "/greeter")
    expect(set(times.split()), {"315532800"})

with subtest("One of several images can be exported"):
    command = images["generation-1"]["conf"]["config"]["Cmd"]
    expect(imported("exported-chosen", *command), "Hello from generation-1!\n")
    exported = machine.succeed(f"{images['exported-chosen']['archive']} | tar -t").split()
    assert not [name for name in exported if "alice" in name], exported

with subtest("A file is that of the last layer which has it"):
    load("order-3")
    expect(run("order-3"), "1\n2\n3\n3\n")

with subtest("An exported file is that of the last layer which has it"):
    command = ["/bin/cat", "/layer-1", "/layer-2", "/layer-3", "/last"]
    expect(imported("exported-order", *command), "1\n2\n3\n3\n")

for name, base, kind in [
    ("on-stream", "hello", "a program that streams one"),
    ("on-layout", "owned", "an OCI layout"),
    ("on-merged", "generation-1", "one of several in an archive"),
]:
    with subtest(f"The base of an image can be {kind}"):
        load(name)
        expect(run(name), f"Hello from {name}!\n")
        under = diff_ids(base)
        expect(layers(name)[: len(under)], under)

with subtest("No archive is made of a base that streams"):
    base = images["on-stream"]["conf"]["from_image"]
    expect(base.split("/")[-1], images["hello"]["confFile"].split("/")[-1])


@contextlib.contextmanager
def registry_at(folder):
    """The address of a registry with its data in the folder."""
    config = f"""version: 0.1
http: {{addr: "127.0.0.1:0"}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
"""
    machine.succeed(f"printf %s {shlex.quote(config)} > {folder}/config.yml")
    pid = machine.succeed(f"{registry} serve {folder}/config.yml > {folder}/log 2>&1 & echo $!")
    try:
        listening = f"grep -o 'listening on 127.0.0.1:[0-9]*' {folder}/log"
        yield machine.wait_until_succeeds(listening).split()[-1]
    finally:
        machine.succeed(f"kill {pid.strip()}")


with subtest("A pulled image is a base, and keeps its layers"):
    folder = machine.succeed("mktemp -d").strip()
    machine.succeed(f"{archive('owned', [])} > {folder}/pushed.tar")
    with registry_at(folder) as address:
        machine.succeed(
            "skopeo --insecure-policy copy --quiet --dest-tls-verify=false"
            f" docker-archive:{folder}/pushed.tar docker://{address}/base:1",
            f"{nix_image} pull --tls-verify=false {address}/base:1 {folder}/pulled.tar",
        )
    # What the build makes of `fromImage = pullImage { … }`.
    conf = {
        **images["hello"]["conf"],
        "from_image": f"{folder}/pulled.tar",
        "repo_tag": "on-pulled:latest",
    }
    machine.succeed(
        f"printf %s {shlex.quote(json.dumps(conf))} > {folder}/conf.json",
        f"{stream(f'{folder}/conf.json')} | {engine} load",
    )
    said = printed(
        f"{engine} run --rm --network none on-pulled:latest"
        " /bin/bash -c 'hello; /greeter/bin/only-in-the-link; stat -c %u /home/alice'"
    )
    expect(said, "Hello from hello!\nHello from only-in-the-link!\n1000\n")
    shown = json.loads(machine.succeed(f"{engine} image inspect on-pulled:latest"))[0]
    under = diff_ids("owned")
    expect(shown["RootFS"]["Layers"][: len(under)], under)
    machine.succeed(f"rm -r {folder}")
