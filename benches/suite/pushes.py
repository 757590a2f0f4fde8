"""Pushes to a registry."""
from dataclasses import dataclass

from bench import Memory, quietly
from measuring import Contender


@dataclass
class Pusher:
    """A program's way to push, with its memory and what it has left in the registry."""
    label: str
    # The commands for the first image, "same", and for the "changed" one.
    commands: dict
    registry: object
    memory: Memory
    environment: dict
    before: int = 0

    def push_first(self):
        """Leaves the registry and the memory in the state after a first push."""
        self.prepare(pushed=False, remembers=False)
        quietly(self.commands["same"], self.environment)
        self.registry.keep(self.memory.used.stem)
        self.memory.keep()

    def prepare(self, pushed, remembers):
        if pushed:
            self.registry.restore(self.memory.used.stem)
        else:
            self.registry.clear()
        if remembers:
            self.memory.restore()
        else:
            self.memory.clear()
        self.before = self.registry.stored()

    def contender(self, which, pushed, remembers):
        return Contender(self.label, self.commands[which], self.environment,
                         lambda: self.prepare(pushed, remembers),
                         moved=lambda: self.registry.stored() - self.before)


def pushes(bench, registry, docker):
    """First pushes, and pushes of an image that is unchanged or has one changed path of twenty."""
    names = iter(range(100))

    def pusher(label, command, images, environment=None):
        memory = Memory(bench, f"push-{next(names)}")
        return Pusher(label, {which: command(image) for which, image in images.items()}, registry,
                      memory, {**memory.environment, **(environment or {})})

    def nix_image(label, confs, *options):
        reference = f"{registry.address}/nix-image:latest"
        return pusher(label, lambda conf: [bench.nix_image, "push", conf, reference, *options],
                      confs)

    def skopeo(label, *options):
        copy = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]
        target = f"docker://{registry.address}/skopeo:latest"
        return pusher(label, lambda archive: [*copy, *options, f"docker-archive:{archive}", target],
                      bench.archives)

    def docker_push():
        environment = {**docker.environment(), "DOCKER_HOST": docker.address}
        tags = {which: f"{registry.address}/docker:{which}" for which in bench.archives}
        for which, archive in bench.archives.items():
            quietly(["docker", "load", "--input", archive], environment)
            quietly(["docker", "tag", f"{bench.name}:latest", tags[which]], environment)
        return pusher("`docker push`", lambda tag: ["docker", "push", tag], tags, environment)

    hashed = {which: bench.closure.with_nar_hashes(conf, bench.folder)
              for which, conf in bench.confs.items()}
    plain = nix_image("`nix-image push`", bench.confs)
    gzip = nix_image("`nix-image push --compression gzip`", bench.confs, "--compression", "gzip")
    named = nix_image("`nix-image push`, NAR hashes in the conf", hashed)
    copy = skopeo("`skopeo copy`")
    zstd = skopeo("`skopeo copy`, zstd", "--format", "oci", "--dest-compress-format", "zstd")
    crane = pusher("`crane push`", lambda archive: [
        "crane", "push", "--insecure", archive, f"{registry.address}/crane:latest"], bench.archives)
    others = [docker_push()] if docker else []
    for each in (plain, named, copy, *others):
        each.push_first()

    def group(pushers, which, pushed, remembers):
        return [each.contender(which, pushed, remembers) for each in pushers]

    return {
        "first push": group([plain, gzip, copy, zstd, crane, *others], "same", False, False),
        "nothing changed": group([plain, copy, *others], "same", True, True),
        "nothing changed, empty caches": group([named, plain, copy], "same", True, False),
        "one path of twenty changed": group([plain, copy, *others], "changed", True, True),
    }
