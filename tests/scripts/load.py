# Tests `nix-image load`: the image, the store that it is read from, other users and other programs.

import re

PROGRAM = machine.succeed("mktemp -d").strip()
# Where the user can find it.
machine.succeed(f"chmod 755 {PROGRAM} && cp $(type -P {nix_image}) {PROGRAM}/nix-image")
NIX_IMAGE = f"{as_user}{PROGRAM}/nix-image"


def nix_load(name, *options, conf=None, program=NIX_IMAGE):
    """The output of a load."""
    command = f"{program} load {conf or images[name]['confFile']} --engine {KIND}"
    return machine.succeed(f"{command} {shlex.join(options)} 2>&1")


def moved(said):
    """How many layers a load transferred, and the total."""
    found = re.search(r"(\d+) of (\d+) layers", said)
    assert found, said
    return int(found[1]), int(found[2])


def way(said):
    """How they were transferred."""
    found = re.search(r" (linked|copied|reflinked)\b", said)
    return found[1] if found else "sent"


def detached(name, container, *command):
    if engine == "ctr":
        words = shlex.join([full_name(reference(name)), container, *command])
        machine.succeed(f"ctr run --detach {words}")
    else:
        words = shlex.join([reference(name), *command])
        machine.succeed(f"{engine} run --detach --network none --name {container} {words}")


def inside(container, *command):
    """The output of a command in a running container."""
    if engine == "ctr":
        return printed(f"ctr tasks exec --exec-id inside-$RANDOM {container} {shlex.join(command)}")
    return printed(f"{engine} exec {container} {shlex.join(command)}")


def end(container):
    if engine == "ctr":
        machine.succeed(f"ctr tasks kill --signal KILL {container}")
        machine.wait_until_succeeds(f"ctr containers rm {container}")
    else:
        machine.succeed(f"{engine} rm --force {container}")


def in_store(path):
    """Where a path of the store is on the machine."""
    return f"{store}/{path.removeprefix('/nix/store/')}"


def looks(name):
    """The state of an image's store paths: every file's metadata and content."""
    paths = shlex.join(map(in_store, store_paths(name)))
    look = machine.succeed(f"find {paths} -printf '%p %y %m %U %G %T@ %l\\n' | sort")
    return look + machine.succeed(f"find {paths} -type f -print0 | xargs -0 sha256sum | sort")


def links(name):
    """The number of hard links of an image's program."""
    program = images[name]["conf"]["config"]["Cmd"][0]
    return int(machine.succeed(f"stat -c %h {in_store(program)}"))


# Other scripts may have loaded images.
unload_all()

with subtest(f"Layers are {' or '.join(layers_are)}, and the image runs"):
    before = links("generation-1")
    said = nix_load("generation-1")
    expect_in(way(said), layers_are)
    expect(moved(said)[0], moved(said)[1])
    expect(started("generation-1"), "Hello from generation-1!\n")
    expect(links("generation-1") - before, 1 if way(said) == "linked" else 0)

with subtest("A load of what is there moves no layer"):
    expect(moved(nix_load("generation-1"))[0], 0)

with subtest("The next generation moves what is new"):
    count, of = moved(nix_load("generation-2"))
    assert 0 < count < of, (count, of)
    expect(started("generation-2"), "Hello from generation-2!\n")

with subtest("What a container does to all files, the store does not see"):
    nix_load("layered")
    before = looks("layered")
    spoil = """
        for file in /nix/store/* /nix/store/*/bin/* /nix/store/*/lib/*; do
            { chmod 777 "$file"; echo spoiled >> "$file"; } 2> /dev/null
        done
        cat $(readlink -f /bin/hello)
    """
    expect_in("spoiled", started("layered", "bash", "-c", spoil))
    expect(looks("layered"), before)
    expect(started("layered"), "Hello from hello!\n")

with subtest("An image runs when the store has lost its paths, and so does its container"):
    here = machine.succeed(f"mktemp -d -p {scratch}").strip()
    machine.succeed(f"chmod 755 {here}", f"mkdir -p {here}/nix/store")
    conf = images["layered"]["conf"]
    kept = [*store_paths("layered"), conf["customisation_layer"]]
    machine.succeed(f"cp -a {shlex.join(map(in_store, kept))} {here}/nix/store")
    unload(reference("layered"))
    said = nix_load("layered", "--store-root", here, "--no-cache", "-t", "collected:1")
    assert way(said) != "sent" or "sent" in layers_are, said
    images["collected"] = {"imageName": "collected", "imageTag": "1"}
    detached("collected", "survivor", "bash", "-c", "read -t 600 <> <(:)")
    machine.succeed(f"chmod -R u+w {here}", f"rm -r {here}")
    expect(inside("survivor", "cat", "/extraCommands"), "(extraCommand)\n")
    expect(inside("survivor", "hello"), "Hello from hello!\n")
    end("survivor")
    expect(started("collected"), "Hello from hello!\n")

if engine == "docker":
    with subtest("A user who may use docker's socket loads as root does"):
        socket = machine.succeed("echo ${DOCKER_HOST:-unix:///run/docker.sock}").strip()
        socket = socket.removeprefix("unix://")
        machine.succeed(f"chmod a+x $(dirname {socket})")
        group = machine.succeed(f"stat -c %g {socket}").strip()
        unload(reference("generation-1"))
        user = f"env -u HOME setpriv --reuid 65534 --regid {group} --clear-groups"
        nix_load("generation-1", program=f"{user} {PROGRAM}/nix-image")
        expect(started("generation-1"), "Hello from generation-1!\n")

if KIND == "podman":
    with subtest("podman runs an image out of an additional image store of root's"):
        added = machine.succeed(f"mktemp -d -p {scratch}").strip()
        machine.succeed(f"chmod 755 {added}")
        machine.succeed(f"{PROGRAM}/nix-image store add {added} {images['hello']['confFile']}")
        assert not has(reference("hello"))
        podman = f"{engine} --storage-opt additionalimagestore={added}"
        said = printed(f"{podman} run --rm --network none --pull never {reference('hello')}")
        expect(said, "Hello from hello!\n")
        machine.succeed(f"rm -r {added}")

if KIND in ["podman", "containerd"]:
    with subtest("An image is pulled by its own name, with nix-image as a mirror"):
        folder = machine.succeed("mktemp -d").strip()
        machine.succeed(f"chmod 755 {folder}")
        name = "registry.example.org/library/hello:latest"
        serve = f"{NIX_IMAGE} serve {images['hello']['confFile']} -t library/hello:latest"
        pid = machine.succeed(f"{serve} > {folder}/address 2> {folder}/log & echo $!").strip()
        address = machine.wait_until_succeeds(f"grep . {folder}/address").strip()
        if engine == "ctr":
            hosts = f'server = "https://registry.example.org"\n[host."http://{address}"]\n'
            machine.succeed(f"mkdir {folder}/registry.example.org")
            file = f"{folder}/registry.example.org/hosts.toml"
            machine.succeed(f"printf %s {shlex.quote(hosts)} > {file}")
            machine.succeed(f"ctr images pull --hosts-dir {folder} {name}")
            said = printed(f"ctr run --rm {name} mirrored")
        else:
            registries = f"""[[registry]]
location = "registry.example.org"
[[registry.mirror]]
location = "{address}"
insecure = true
"""
            file = f"{folder}/registries.conf"
            machine.succeed(f"printf %s {shlex.quote(registries)} > {file}")
            machine.succeed(f"CONTAINERS_REGISTRIES_CONF={file} {engine} pull {name}")
            said = printed(f"{engine} run --rm --network none {name}")
        expect(said, "Hello from hello!\n")
        machine.succeed(f"kill {pid}", f"rm -r {folder}")

if engine == "ctr":
    for format in ["docker-archive", "oci-archive"]:
        with subtest(f"k3s finds an image in its import folder, as {format}"):
            folder = machine.succeed("mktemp -d").strip()
            file = f"{folder}/image.tar"
            machine.succeed(
                f"{NIX_IMAGE} write {images['hello']['confFile']} {file} --format {format}"
            )
            # k3s has containerd import each file into the Kubernetes namespace.
            machine.succeed(f"ctr --namespace k8s.io images import {file}")
            name = full_name(reference("hello"))
            said = printed(f"ctr --namespace k8s.io run --rm {name} imported")
            expect(said, "Hello from hello!\n")
            machine.succeed(f"ctr --namespace k8s.io images rm --sync {name}", f"rm -r {folder}")

machine.succeed(f"rm -r {PROGRAM}")
