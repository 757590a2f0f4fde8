# Tests the units of the NixOS module with the additional image store that podman reads, as a
# machine switches between configurations.

STATE = machine.succeed("mktemp -d").strip()
ADDED = reference("generation-1")
STORE = f"{STATE}/store"
# Ordinary users read this directory.
machine.succeed(f"chmod 755 {STATE} && mkdir {STORE}")
machine.succeed(
    f"cp ${{CONTAINERS_STORAGE_CONF:-/etc/containers/storage.conf}} {STATE}/storage.conf",
    f"printf '[storage.options]\nadditionalimagestores = [ \"{STORE}\" ]\n' >> {STATE}/storage.conf",
)
podman = f"CONTAINERS_STORAGE_CONF={STATE}/storage.conf podman"


def unit(*arguments):
    return machine.succeed(
        f"STATE_DIRECTORY={STATE} NIX_IMAGE_STORE={STORE}"
        f" CONTAINERS_STORAGE_CONF={STATE}/storage.conf"
        f" {unit_command} {shlex.join(arguments)} 2>&1"
    )


def add(name):
    return unit("add", "store", "-", reference(name), images[name]["confFile"])


def clean(*names):
    lines = [f"- {reference(name)} {images[name]['confFile']}\n" for name in names]
    machine.succeed(f"printf %s {shlex.quote(''.join(lines))} > {STATE}/wanted")
    return unit("clean", "store", f"{STATE}/wanted")


def find(name):
    return machine.succeed(f"{podman} image inspect --format '{{{{.Id}}}}' {name}").strip()


def exists(name):
    return machine.execute(f"{podman} image exists {name}")[0] == 0


def records():
    return int(machine.succeed(f"find {STATE}/state/store -type f | wc -l"))


def trees():
    return int(machine.succeed(f"find {STORE}/overlay -mindepth 2 -maxdepth 2 -name diff | wc -l"))


with subtest("An image in the store runs, and podman's own storage has none of it"):
    add("generation-1")
    first = find(ADDED)
    said = machine.succeed(f"{podman} run --rm --network none --pull never {ADDED}")
    expect(said, "Hello from generation-1!\n")
    machine.fail(f"podman image exists {ADDED}")
    expect(records(), 1)
    layers_of_first = trees()

with subtest("Adding it again changes nothing"):
    add("generation-1")
    clean("generation-1")
    expect(find(ADDED), first)
    expect(records(), 1)
    expect(trees(), layers_of_first)

with subtest("The next generation has the name, and the former image and its layers go"):
    add("generation-2")
    second = find(ADDED)
    assert second != first, second
    expect_in(f"removed {ADDED}", clean("generation-2"))
    assert not exists(first)
    expect(find(ADDED), second)
    expect(records(), 1)
    expect(trees(), layers_of_first)

with subtest("A rollback brings it back"):
    add("generation-1")
    clean("generation-1")
    expect(find(ADDED), first)
    assert not exists(second)

with subtest("An image that a container of podman's uses stays until that is gone"):
    machine.succeed(f"{podman} create --name user --network none {ADDED}")
    expect_in(f"left {ADDED}", clean())
    expect(find(ADDED), first)
    machine.succeed(f"{podman} rm user")
    expect_in(f"removed {ADDED}", clean())
    assert not exists(first)
    expect(records(), 0)
    expect(trees(), 0)

with subtest("The layers of a container that podman does not show stay until it is gone"):
    add("layered")
    elsewhere = (
        f"{podman} --root {STATE}/elsewhere --runroot {STATE}/run"
        f" --storage-opt additionalimagestore={STORE}"
    )
    machine.succeed(
        f"{elsewhere} run --detach --name user --network none {reference('layered')}"
        " bash -c 'read -t 600 <> <(:)'"
    )
    clean()
    assert not exists(reference("layered"))
    assert trees() > 0
    # Keeps systemd from skipping the next attempt.
    expect(records(), 1)
    machine.succeed(f"{elsewhere} exec user ls /")
    machine.succeed(f"{elsewhere} rm --force --time 0 user")
    clean()
    expect(trees(), 0)
    expect(records(), 0)
