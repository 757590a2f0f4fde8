# Tests one-layer images, with a subtest for each one of nixpkgs' buildImage.


def document(name, member):
    return json.loads(machine.succeed(f"{archive(name, [])} | tar -xOf - {member}"))


def config_of(name):
    return document(name, document(name, "manifest.json")[0]["Config"])


with subtest("An image of one layer holds its root and the closure"):
    expect(images["one-layer"]["imageName"], "one-layer")
    load("one-layer")
    expect(len(layers("one-layer")), 1)
    expect(run("one-layer"), "Hello from hello!\n")
    run("one-layer", "/bin/bash", "--version")

with subtest("The image's ID and layers are those of the archive"):
    expect(layers("one-layer"), config_of("one-layer")["rootfs"]["diff_ids"])
    if image_id_is_config:
        expect(
            inspect("one-layer")["Id"].removeprefix("sha256:"),
            document("one-layer", "manifest.json")[0]["Config"].removesuffix(".json"),
        )

with subtest("skopeo sees the same layers"):
    machine.succeed(f"{archive('one-layer', [])} > /tmp/one-layer.tar")
    seen = json.loads(machine.succeed("skopeo inspect --config docker-archive:/tmp/one-layer.tar"))
    expect(seen["rootfs"]["diff_ids"], config_of("one-layer")["rootfs"]["diff_ids"])
    machine.succeed("rm /tmp/one-layer.tar")

with subtest("Dates are stable by default, and can be now"):
    expect_in("1970-01-01T00:00:01Z", inspect("one-layer")["Created"])
    load("one-layer-now")
    assert "1970-01-01" not in inspect("one-layer-now")["Created"], inspect("one-layer-now")

with subtest("The attribute imageTag is the tag"):
    load("one-layer-no-tag")
    expect_in(
        images["one-layer-no-tag"]["imageTag"],
        machine.succeed(engine + " images --format '{{.Tag}}'").split(),
    )

for name in ["one-layer-plain", "one-layer-zstd", "one-layer-prefixed"]:
    with subtest(f"The image {name} loads"):
        load(name)
        expect(run(name), "Hello from hello!\n")

with subtest("The architecture is the image's own"):
    load("one-layer-other-architecture")
    expect(inspect("one-layer-other-architecture")["Architecture"], "s390x")

with subtest("Plain paths in copyToRoot"):
    load("one-layer-bare-path")
    expect(run("one-layer-bare-path"), "Hello from a bare path\n")

with subtest("extraCommands write into the root, whose files belong to uid and gid"):
    load("one-layer-commands")
    expect(
        run("one-layer-commands"),
        "/extraCommands 644 1000:1000\n/tmp 1777 1000:1000\n/bin/hello 777 0:0\n",
    )
    expect(run("one-layer-commands", "/bin/cat", "/extraCommands"), "(extraCommand)\n")
    expect(layers("one-layer-commands")[:1], layers("one-layer"))

with subtest("An image of one layer on top of a layered image"):
    load("one-layer-on-layered")
    expect(run("one-layer-on-layered"), "Hello from on-layered!\n(extraCommand)\n")
    expect(layers("one-layer-on-layered")[:-1], config_of("layered")["rootfs"]["diff_ids"])

with subtest("The base can be an archive, a stream or a layout, and the image is the same"):
    for kind in ["stream", "layout"]:
        machine.succeed(
            f"cmp <({images['one-layer-on-archive']['archive']}) "
            f"<({images[f'one-layer-on-{kind}']['archive']})"
        )
    load("one-layer-on-layout")
    expect(run("one-layer-on-layout"), "Hello from hello!\nchanged\n")

with subtest("Layers that are there several times"):
    load("one-layer-repeated")
    expect(len(layers("one-layer-repeated")), 3)
    expect(run("one-layer-repeated"), "Hello from hello!\n")

with subtest("The environment of the base image is inherited"):
    load("one-layer-child")
    env = run("one-layer-child").splitlines()
    expect_in("FROM_PARENT=true", env)
    expect_in("FROM_CHILD=true", env)
    expect_in("LAST_LAYER=child", env)

with subtest("keepContentsDirlinks keeps links to directories"):
    load("one-layer-dirlinks")
    expect(run("one-layer-dirlinks"), "bin\n")

with subtest("A user that is not root can read the store"):
    run("one-layer", "/bin/bash", "--version", options="--user 1000:1000")

with subtest("Nix in the container knows the store"):
    load("one-layer-nix-db")
    known = run("one-layer-nix-db", "nix-store", "--query", "--requisites", "/bin/bash").split()
    held = run("one-layer-nix-db", "ls", "/nix/store").split()
    assert known and {path.rpartition("/")[2] for path in known} <= set(held), known
    runs("one-layer-nix-db", "nix-store", "--verify", "--check-contents")

with subtest("runAsRoot and extraCommands write into the root"):
    load("as-root-extra-commands")
    expect(run("as-root-extra-commands"), "(runAsRoot)\n(extraCommand)\n(runAsRoot)\n")

with subtest("runAsRoot on top of a base image"):
    load("as-root-parent")
    expect(run("as-root-parent"), "/etc/hosts\n/example-file\n")

with subtest("Layers are there in their order when runAsRoot runs"):
    load("as-root-order")
    expect(run("as-root-order"), "abc")

with subtest("runAsRoot on top of layers that are there several times"):
    load("as-root-repeated")
    runs("as-root-repeated")

CHANGED = """/opt/id 4755 0:0 regular file
/opt/secret 700 3001:3000 directory
/home/alice 755 3001:3000 directory
/home/alice/file 644 3001:3000 regular file
/lib 777 0:0 symbolic link
/lib64 755 0:0 directory
moved
tree
two
moved/file
tree/new
/opt/file
/opt/id
/opt/secret
/opt/two
new
old
old
extra
2
2
root alice root staff
"""

for name in ["as-root-changes", "as-root-in-proot"]:
    with subtest(f"What runAsRoot changes in the image {name} is so in the container"):
        load(name)
        expect(run(name), CHANGED)
        run_fails(name, "/bin/ls", "/opt/secret", options="--user 1000:1000")
        runs(name, "/bin/ls", "/opt/secret", options="--user 3001:3000")

with subtest("The layer is the same with namespaces and without"):
    expect(layers("as-root-changes"), layers("as-root-in-proot"))

with subtest("What runAsRoot mounts is gone, and devices stay"):
    load("as-root-mounts")
    expect(
        run("as-root-mounts"),
        "/mounted 755 directory\n/made/file 644 regular empty file\n"
        "/made/zero 666 character special file\n",
    )
