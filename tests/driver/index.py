"""An index that Nix makes of images for several platforms, in a registry."""

import json
import shutil
import socket
import subprocess
import sys

from engines import Engine
from images import ROOT


class Registry(Engine):
    """Debian's registry, on a free port."""

    def start(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        config = self.folder / "config.yml"
        config.write_text(
            f"""version: 0.1
log: {{level: error}}
http: {{addr: "{self.address}"}}
storage: {{filesystem: {{rootdirectory: "{self.folder}/data"}}}}
"""
        )
        connect = f"import socket; socket.create_connection(('127.0.0.1', {port}))"
        self.spawn(["docker-registry", "serve", config], [sys.executable, "-c", connect])


def check(store):
    index = store.build(ROOT / "nix/testing", "-A", "testImages.index")
    program = index / "bin/push-App"
    words = program.read_text().split()
    confs = [store.here(word) for word in words if word.endswith("-conf.json")]
    # Without a reference, everything is pushed to the index's own name.
    names = [json.loads(conf.read_text())["repo_tag"] for conf in confs]
    assert names == ["team/app:1"] * 3, names
    # The program says /nix/store, which is below the store's root.
    push = ["chroot", store.root, f"/{program.relative_to(store.root)}"]
    written_as_one_layout(store)
    with Registry() as registry:
        name = f"{registry.address}/me/app:2"
        pushed = said(*push, name, "--no-cache")
        raw = said("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}")
        manifests = json.loads(raw)["manifests"]
        platforms = [
            (entry["platform"]["os"], entry["platform"]["architecture"]) for entry in manifests
        ]
        assert platforms == [("linux", "amd64"), ("linux", "arm64"), ("linux", "s390x")], raw
        assert pushed.startswith(f"{registry.address}/me/app@sha256:"), pushed
        for _, architecture in platforms:
            seen = said(
                *("skopeo", "inspect", "--config", "--override-arch", architecture),
                *("--tls-verify=false", f"docker://{name}"),
            )
            assert json.loads(seen)["architecture"] == architecture, seen


def written_as_one_layout(store):
    """The same index with uncompressed images, in a directory."""
    program = store.build(ROOT / "nix/testing", "-A", "testImages.index.write") / "bin/write-App"
    layout = store.root / "tmp/index"
    shutil.rmtree(layout, ignore_errors=True)
    layout.parent.mkdir(exist_ok=True)
    write = ["chroot", store.root, f"/{program.relative_to(store.root)}"]
    said(*write, "/tmp/index", "--format", "oci", "--no-cache")
    raw = said("skopeo", "inspect", "--raw", f"oci:{layout}:1")
    platforms = [entry["platform"]["architecture"] for entry in json.loads(raw)["manifests"]]
    assert platforms == ["amd64", "arm64", "s390x"], raw
    shutil.rmtree(layout)


def said(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
