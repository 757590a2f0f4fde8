# Tests layered and streamed images, with a subtest for each one of nixpkgs.

with subtest("An image holds its contents' closure"):
    load("hello")
    expect(run("hello"), "Hello from hello!\n")

with subtest("The result streams, under another tag too, and takes commands"):
    program = images["hello"]["program"]
    machine.succeed(f"cmp <({program}) <({program} stream)")
    manifest = json.loads(machine.succeed(f"{program} -t other:1 | tar -xOf - manifest.json"))[0]
    expect(manifest["RepoTags"], ["other:1"])
    expect(manifest["Layers"], in_archive("hello", "manifest.json")[0]["Layers"])

with subtest("The result tells what the image is"):
    manifest = in_archive("hello", "manifest.json")[0]
    shown = json.loads(machine.succeed(f"{images['hello']['program']} inspect"))
    expect(shown["Id"], "sha256:" + manifest["Config"].removesuffix(".json"))
    expect(
        [layer["DiffID"].removeprefix("sha256:") for layer in shown["Layers"]],
        [name.removesuffix("/layer.tar") for name in manifest["Layers"]],
    )

with subtest("The conf says which path refers to which, and the tree shows it"):
    said = images["hello"]["conf"]["references"]
    expect(sorted(said), store_paths("hello"))
    shown = json.loads(machine.succeed(f"{images['hello']['program']} tree --json"))
    expect(
        {row["path"]: sorted(row["references"]) for row in shown["paths"]},
        {path: sorted(targets) for path, targets in said.items()},
    )
    assert any(said.values()), "hello refers to nothing"

with subtest("The image's ID and layers are those of the archive"):
    manifest = in_archive("hello", "manifest.json")[0]
    config = in_archive("hello", manifest["Config"])
    expect(layers("hello"), config["rootfs"]["diff_ids"])
    if image_id_is_config:
        expect(
            inspect("hello")["Id"].removeprefix("sha256:"),
            manifest["Config"].removesuffix(".json"),
        )
        # docker wrote <ID>.json before it wrote OCI layouts, with blobs/sha256/<ID>.
        saved = json.loads(
            machine.succeed(f"{engine} save {reference('hello')} | tar -xOf - manifest.json")
        )[0]
        expect(
            saved["Config"].removesuffix(".json").split("/")[-1],
            manifest["Config"].removesuffix(".json"),
        )

with subtest("skopeo sees the same layers"):
    machine.succeed(f"{images['hello']['archive']} > /tmp/hello.tar")
    seen = json.loads(machine.succeed("skopeo inspect --config docker-archive:/tmp/hello.tar"))
    expect(seen["rootfs"]["diff_ids"], config["rootfs"]["diff_ids"])
    machine.succeed("rm /tmp/hello.tar")

for name in ["no-store", "no-store-fakechroot"]:
    with subtest(f"includeStorePaths = false: {name} holds no store path"):
        load(name)
        expect(store_paths(name), [])
        for layer in in_archive(name, "manifest.json")[0]["Layers"]:
            listed = machine.succeed(
                f"{images[name]['archive']} | tar -xOf - {layer} | tar -tf - | sort"
            )
            assert "nix/store/" not in listed.replace("nix/store/\n", ""), listed
        run_fails(name)

    with subtest(f"includeStorePaths = false: {name} runs with the store mounted"):
        expect(run(name, options=f"--volume {store}:/nix/store:ro"), "Hello from hello!\n")

with subtest("Only the planned paths are in the store"):
    load("layered")
    seen = run("layered", "ls", "/nix/store").split()
    expect(sorted(f"/nix/store/{name}" for name in seen), store_paths("layered"))

with subtest("Dates are stable by default"):
    expect_in("1970-01-01T00:00:01Z", inspect("hello")["Created"])

with subtest("Dates can be now, and a date of one's own for files"):
    load("now")
    assert "1970-01-01" not in inspect("now")["Created"], inspect("now")["Created"]
    expect(run("now", "stat", "-c", "%Y", "/nix/store").strip(), "981173106")

for name, date in {
    "dated-zone": "2001-02-03T02:05:06",
    "dated-seconds": "1970-01-02T00:00:00",
    "dated-words": "2030-01-31T12:00:00",
    "dated-old": "1901-12-13T20:45:52",
}.items():
    with subtest(f"A date can be written in any way that `date` reads: {name}"):
        load(name)
        expect_in(date, inspect(name)["Created"])

with subtest("A stream that is made now has the moment of the stream"):
    dates = []
    for _ in range(2):
        machine.succeed(f"{images['dated-stream']['archive']} > /tmp/dated.tar")
        manifest = json.loads(machine.succeed("tar -xOf /tmp/dated.tar manifest.json"))[0]
        config = json.loads(machine.succeed(f"tar -xOf /tmp/dated.tar {manifest['Config']}"))
        dates.append(config["created"])
    machine.succeed("rm /tmp/dated.tar")
    assert "2020" < dates[0] < dates[1], dates

for name in ["no-tag", "no-tag-layered"]:
    with subtest(f"The attribute imageTag is the tag of {name}"):
        load(name)
        expect_in(
            images[name]["imageTag"],
            machine.succeed(engine + " images --format '{{.Tag}}'").split(),
        )

for name in ["plain-file", "gz-file", "zstd-file"]:
    with subtest(f"The compressed image {name} loads"):
        load(name)
        expect(run(name), "Hello from hello!\n")

with subtest("extraCommands write into the root, and names are lower case"):
    expect(images["layered"]["imageName"], "layered")
    expect(run("layered"), "Hello from hello!\n")
    expect(run("layered", "cat", "extraCommands"), "(extraCommand)\n")

with subtest("Symlinks in the store stay symlinks"):
    linked = run("layered", "bash", "-c", "readlink $(dirname $(readlink /bin/hello))/hello-by-another-name")
    expect(linked, "hello\n")

with subtest("A store path that is a symlink stays one"):
    load("store-symlink")
    expect_in("/nix/store/", run("store-symlink"))

with subtest("A layered image on top of a layered image"):
    load("on-top")
    expect(run("on-top"), "hello\n(extraCommand)\n")

with subtest("Images share their layers"):
    load("another-layered")
    expect(run("another-layered"), "Hello from hello!\n")
    assert set(layers("layered")) & set(layers("another-layered"))

with subtest("The environment of the base image is inherited"):
    load("child")
    env = run("child").splitlines()
    expect_in("FROM_PARENT=true", env)
    expect_in("FROM_CHILD=true", env)
    expect_in("LAST_LAYER=child", env)

with subtest("An inherited variable that is set anew appears once"):
    manifest = in_archive("child", "manifest.json")[0]
    env = in_archive("child", manifest["Config"])["config"]["Env"]
    expect([entry for entry in env if entry.startswith("LAST_LAYER")], ["LAST_LAYER=child"])

with subtest("With two layers, the one layer holds every store path"):
    load("two-layers")
    expect(len(layers("two-layers")), 2)
    expect_in("Hello from hello!", run("two-layers"))

with subtest("maxLayers counts the layers of the base image"):
    load("four-layers-with-base")
    expect(len(layers("four-layers-with-base")), 4)
    expect_in("Hello from on-top!", run("four-layers-with-base"))

with subtest("A hundred layers for more paths than that"):
    load("hundred-layers")
    planned = images["hundred-layers"]["conf"]["store_layers"]
    # The plan also counts layers that turn out to be empty and are left out.
    assert 90 < len(planned) < 100, len(planned)
    expect(len(layers("hundred-layers")), len(planned) + 1)
    expect(len(run("hundred-layers").splitlines()), 120)

with subtest("A layeringPipeline decides the layers"):
    load("pipeline")
    planned = images["pipeline"]["conf"]["store_layers"]
    expect(len(layers("pipeline")), len(planned) + 1)
    of_its_own = [path.split("-", 1)[1] for path in planned[0]]
    expect_in("hello", of_its_own)
    assert not any(name.startswith("coreutils") for name in of_its_own), of_its_own
    expect(run("pipeline"), "Hello from hello!\n")

with subtest("Layers of the author's own come first, and no store path is in two of them"):
    load("own-layers")
    expect(run("own-layers"), "alice:x:1000:100::/home/alice:/bin/sh\n1\nHello from hello!\n")
    planned = images["own-layers"]["conf"]["store_layers"]
    names = [[path.split("-", 1)[1] for path in layer] for layer in planned]
    assert any(name.startswith("bash") for name in names[0]), names
    assert any(name.startswith("coreutils") for name in names[1]), names
    expect(len(store_paths("own-layers")), len(set(store_paths("own-layers"))))

with subtest("They are the same layers in another image"):
    load("own-layers-changed")
    expect(layers("own-layers")[:2], layers("own-layers-changed")[:2])
    assert layers("own-layers")[2] != layers("own-layers-changed")[2]

with subtest("copyToRoot makes files, no links, with the modes and owners of perms"):
    files = ["/etc/shadow", "/etc/more", "/home/alice/file"]
    coreutils = next(path for path in planned[1] if "-coreutils" in path)
    expect(
        run("own-layers", f"{coreutils}/bin/stat", "-c", "%F %a %u:%g", *files).splitlines(),
        ["regular file 600 0:0", "regular file 444 0:0", "regular file 700 1000:100"],
    )
    assert not any("root-files" in path for path in store_paths("own-layers"))

with subtest("copyToRoot needs no store path"):
    expect(store_paths("own-layers-without-store"), [])
    load("own-layers-without-store")

with subtest("Nix in the container knows the store"):
    load("nix-db")
    known = run("nix-db", "nix-store", "--query", "--requisites", "/bin/bash").split()
    assert known and set(known) <= set(store_paths("nix-db")), known
    runs("nix-db", "nix-store", "--query", "--references", "/bin/bash")

with subtest("The store's contents are what Nix has recorded"):
    runs("nix-db", "nix-store", "--verify", "--check-contents")

with subtest("A user that is not root can read the store"):
    load("someone")
    expect(run("someone"), "755\n755\n")
    run("layered", "bash", "--version", options="--user 1000:1000")

with subtest("The store's files belong to uid and gid"):
    load("not-root")
    expect(run("not-root"), "1000:1000\n")

with subtest("The architecture is the image's own"):
    load("other-architecture")
    expect(inspect("other-architecture")["Architecture"], "s390x")

with subtest("A registry can stand before the name"):
    load("prefixed")
    expect_in(
        images["prefixed"]["imageName"],
        machine.succeed(engine + " images --format '{{.Repository}}'").split(),
    )
    expect(run("prefixed"), "Hello from hello!\n")

with subtest("fakeRootCommands can change owners"):
    load("owned")
    expect(run("owned", "stat", "-c", "%u", "/home/alice"), "1000\n")

with subtest("What fakeRootCommands refer to is in the image"):
    expect(run("owned", "/greeter/bin/only-in-the-link"), "Hello from only-in-the-link!\n")

with subtest("enableFakechroot: absolute paths and owners are the image's"):
    load("owned-in-chroot")
    expect(run("owned-in-chroot"), "Hello from hello!\n12345:12345\n127.0.0.1 localhost\n")

with subtest("Plain paths in contents"):
    load("bare-path")
    expect(run("bare-path"), "Hello from a bare path\n")

with subtest("Certificates, users and shells where programs look for them"):
    load("certificates")
    for place in ["ssl/certs/ca-bundle.crt", "ssl/certs/ca-certificates.crt", "pki/tls/certs/ca-bundle.crt"]:
        runs("certificates", "/bin/sh", "-c", f"test -r /etc/{place}")
    expect(run("certificates", "/usr/bin/env", "whoami"), "root\n")
