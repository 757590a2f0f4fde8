"""Debian's docker-registry, the distribution project's, on the loopback in a temporary folder."""
import os
import shutil
import socket
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests/driver"))

import engines  # noqa: E402

CONFIG = """\
version: 0.1
log: {{level: error}}
http: {{addr: "{address}"}}
storage: {{filesystem: {{rootdirectory: "{data}"}}}}
"""
ASK = "import sys, urllib.request as r; r.urlopen(f'http://{sys.argv[1]}/v2/', timeout=1)"


class Registry(engines.Engine):
    """It keeps nothing in memory, so its folder may be replaced while it runs."""

    command = "docker-registry"

    def start(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.data = self.folder / "data"
        config = self.folder / "config.yml"
        config.write_text(CONFIG.format(address=self.address, data=self.data))
        self.spawn(["docker-registry", "serve", config], [sys.executable, "-c", ASK, self.address])

    def stored(self):
        """The number of bytes of all blobs."""
        blobs = self.data.glob("docker/registry/v2/blobs/*/*/*/data")
        return sum(blob.stat().st_size for blob in blobs)

    def clear(self):
        shutil.rmtree(self.data, ignore_errors=True)

    def keep(self, name):
        """Saves its current contents."""
        copy(self.data, self.folder / name)

    def restore(self, name):
        self.clear()
        copy(self.folder / name, self.data)


def copy(source, target):
    """Blobs are never overwritten, so hard links do. The files that refer to them are copied."""
    def one(old, new):
        link_or_copy = os.link if os.path.basename(old) == "data" else shutil.copyfile
        link_or_copy(old, new)

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=one)
