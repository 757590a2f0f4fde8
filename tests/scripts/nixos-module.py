# Tests the units of the NixOS module as a machine switches between configurations. A configuration
# is a list of images, which all have the same name if they are generations.

STATE = machine.succeed("mktemp -d").strip()
ADDED = reference("generation-1")
UNITS = {
    "docker": ["docker"],
    "podman": ["podman"],
    "ctr": ["containerd", "k3s"],
}[engine]


class Docker:
    """Also defines podman's command."""

    unit_namespace = "-"

    def find(self, name):
        """The ID of the image of that name, if it exists."""
        return machine.succeed(f"{engine} image inspect --format '{{{{.Id}}}}' {name} || true").strip()

    def exists(self, image_id):
        return machine.execute(f"{engine} image inspect {image_id}")[0] == 0

    def tag(self, name, other):
        machine.succeed(f"{engine} tag {name} {other}")

    def remove(self, name):
        machine.succeed(f"{engine} rmi {name}")

    def use(self, name):
        machine.succeed(f"{engine} create --name user --network none {name}")

    def no_longer_use(self):
        machine.succeed(f"{engine} rm user")

    def says(self, name):
        return printed(f"{engine} run --rm --network none {name}")


class Containerd:
    def __init__(self, namespace):
        self.unit_namespace = namespace
        self.ctr = f"ctr --namespace {namespace}"

    def full(self, name):
        return name if name.startswith("docker.io/") else f"docker.io/library/{name}"

    def find(self, name):
        listed = machine.succeed(f"{self.ctr} images ls name=={self.full(name)}").splitlines()
        return listed[1].split()[2] if len(listed) > 1 else ""

    def exists(self, image_id):
        return machine.succeed(f"{self.ctr} images ls --quiet target.digest=={image_id}") != ""

    def tag(self, name, other):
        machine.succeed(f"{self.ctr} images tag {self.full(name)} {self.full(other)}")

    def remove(self, name):
        machine.succeed(f"{self.ctr} images rm {self.full(name)}")

    def use(self, name):
        machine.succeed(f"{self.ctr} containers create {self.full(name)} user")

    def no_longer_use(self):
        machine.succeed(f"{self.ctr} containers rm user")

    def says(self, name):
        return printed(f"{self.ctr} run --rm {self.full(name)} says")


def unit(*arguments, state=STATE):
    return machine.succeed(f"STATE_DIRECTORY={state} {unit_command} {shlex.join(arguments)} 2>&1")


def add(name, **state):
    conf = images[name]["confFile"]
    return unit("add", kind, there.unit_namespace, reference(name), conf, **state)


def clean(*names):
    lines = [
        f"{there.unit_namespace} {reference(name)} {images[name]['confFile']}\n" for name in names
    ]
    wanted = f"{STATE}/wanted"
    machine.succeed(f"printf %s {shlex.quote(''.join(lines))} > {wanted}")
    return unit("clean", kind, wanted)


def records():
    return int(machine.succeed(f"find {STATE}/state/{kind} -type f | wc -l"))


there: Docker | Containerd

for kind in UNITS:
    namespace = {"containerd": "tests", "k3s": "k8s.io"}.get(kind)
    there = Containerd(namespace) if namespace else Docker()

    with subtest(f"{kind}: an image is added, and containers run it"):
        said = add("generation-1")
        expect_in(f"loaded {ADDED} into", said)
        first = there.find(ADDED)
        expect(there.says(ADDED), "Hello from generation-1!\n")
        expect(records(), 1)

    with subtest(f"{kind}: an image that is there is not loaded"):
        expect(add("generation-1"), f"{kind} already has {ADDED}\n")
        expect(clean("generation-1"), "")
        expect(there.find(ADDED), first)

    with subtest(f"{kind}: the next generation has the name, and the former image goes"):
        add("generation-2")
        second = there.find(ADDED)
        assert second != first, second
        clean("generation-2")
        expect(there.says(ADDED), "Hello from generation-2!\n")
        assert not there.exists(first)
        expect(records(), 1)

    with subtest(f"{kind}: a rollback brings it back"):
        add("generation-1")
        clean("generation-1")
        expect(there.find(ADDED), first)
        assert not there.exists(second)
        expect(records(), 1)

    with subtest(f"{kind}: an image that was removed by hand is loaded again"):
        there.remove(ADDED)
        add("generation-1")
        expect(there.find(ADDED), first)

    with subtest(f"{kind}: an image that a container uses stays until that is gone"):
        there.use(ADDED)
        expect_in(f"left {ADDED}", clean())
        expect(there.find(ADDED), first)
        there.no_longer_use()
        expect_in(f"removed {ADDED}", clean())
        assert not there.exists(first)
        expect(records(), 0)

    with subtest(f"{kind}: an image that was there before stays"):
        add("hello", state=f"{STATE}/somebody")
        before = there.find(reference("hello"))
        add("hello")
        expect(clean(), "")
        expect(there.find(reference("hello")), before)
        expect(records(), 0)

    with subtest(f"{kind}: a name that somebody has given to another image stays"):
        add("generation-1")
        there.remove(ADDED)
        there.tag(reference("hello"), ADDED)
        clean()
        expect(there.find(ADDED), before)
        expect(records(), 0)
        there.remove(ADDED)

    with subtest(f"{kind}: an image to which somebody has given a name stays"):
        add("generation-1")
        there.tag(ADDED, "somebody:1")
        add("generation-2")
        clean("generation-2")
        expect(there.find("somebody:1"), first)
        clean()
        expect(there.find("somebody:1"), first)
        expect(there.find(ADDED), "")
        there.remove("somebody:1")

    with subtest(f"{kind}: what was killed before it could record the image is made good"):
        add("generation-1")
        # The state at that point: only that there was no image before is recorded.
        machine.succeed(
            f"cd {STATE}/state/{kind} && rm *.image"
            f" && printf '%s\\n' {there.unit_namespace} {ADDED} | sha256sum | cut -c -32"
            " | while read -r key; do echo > $key.started; done"
        )
        add("generation-1")
        expect_in(f"removed {ADDED}", clean())
        assert not there.exists(first)
        expect(records(), 0)

    if isinstance(there, Containerd):
        with subtest(f"{kind}: the names that Kubernetes gives go with the image"):
            add("generation-1")
            machine.succeed(
                f"{there.ctr} images tag {there.full(ADDED)} sha256:{'0' * 64}"
            )
            clean()
            assert not there.exists(first)

with subtest(f"{kind}: where the engine does not answer, nothing is forgotten"):
    add("generation-1")
    machine.succeed(f"printf '[storage]\ndriver = \"none\"\n' > {STATE}/storage.conf")
    machine.fail(
        "DOCKER_HOST=unix:///nowhere CONTAINERD_ADDRESS=/nowhere"
        f" CONTAINERS_STORAGE_CONF={STATE}/storage.conf STATE_DIRECTORY={STATE}"
        f" {unit_command} clean {kind} /dev/null"
    )
    expect(records(), 1)
    clean()
    assert not there.exists(first)
