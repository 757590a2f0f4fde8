#!/usr/bin/env python3
"""Writes the docker-archive of a conf with Python's own tarfile, as the tests' reference.

usage: reference.py [--store-root ROOT] [-t TAG] CONF > archive

Everything is held in memory and read once. Store paths are looked up below ROOT.
"""
import argparse
import hashlib
import io
import json
import os
import stat
import sys
import tarfile
from datetime import datetime, timezone

TYPES = {
    stat.S_IFREG: tarfile.REGTYPE, stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE, stat.S_IFCHR: tarfile.CHRTYPE, stat.S_IFBLK: tarfile.BLKTYPE,
}
DEFAULTS = {
    "store_dir": "/nix/store", "from_image": None,
    "uid": "0", "gid": "0", "uname": "root", "gname": "root",
}


def new_tar(out):
    return tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape")


def parse_time(text):
    return datetime.now(tz=timezone.utc) if text == "now" else datetime.fromisoformat(text)


class Image:
    def __init__(self, conf, out, root=""):
        self.conf = {"mtime": conf["created"], **DEFAULTS, **conf}
        self.root = root.rstrip("/")
        self.mtime = int(parse_time(self.conf["mtime"]).timestamp())
        self.tar = new_tar(out)
        self.layers = []  # (member name, digest, the history's list)

    def member(self, name, kind, mode):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime = kind, mode, self.mtime
        info.uid, info.gid = int(self.conf["uid"]), int(self.conf["gid"])
        info.uname, info.gname = self.conf["uname"], self.conf["gname"]
        return info

    def add_tree(self, tar, path, cut=0):
        """Adds a path and everything below it, without the first `cut` characters of names."""
        place = self.root + path
        found = os.lstat(place)
        info = self.member(path[cut:], TYPES[stat.S_IFMT(found.st_mode)], stat.S_IMODE(found.st_mode))
        if info.isreg():
            info.size = found.st_size
            with open(place, "rb") as content:
                return tar.addfile(info, content)
        if info.issym():
            info.linkname = os.readlink(place)
        if info.isdev() and not info.isfifo():
            info.devmajor, info.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
        tar.addfile(info)
        # Names are sorted by code points, with undecodable bytes as lone surrogates.
        for name in sorted(os.listdir(place)) if info.isdir() else ():
            self.add_tree(tar, f"{path}/{name}", cut)

    def add_bytes(self, name, data, like=None):
        info = like or tarfile.TarInfo(name)
        info.name, info.size, info.mtime = name, len(data), self.mtime
        self.tar.addfile(info, io.BytesIO(data))

    def add_layer(self, data, comment, digest=None, like=None):
        digest = digest or hashlib.sha256(data).hexdigest()
        self.add_bytes(f"{digest}/layer.tar", data, like)
        self.layers.append((f"{digest}/layer.tar", f"sha256:{digest}", comment))

    def add_base_image(self, path):
        """Copies the base image's layers; returns its environment."""
        with tarfile.open(self.root + path) as base:
            manifest = json.load(base.extractfile("manifest.json"))[0]
            image = json.load(base.extractfile(manifest["Config"]))
            for name, digest in zip(manifest["Layers"], image["rootfs"]["diff_ids"]):
                self.tar.addfile(base.getmember(name), base.extractfile(name))
                self.layers.append((name, digest, [name]))
        return image["config"].get("Env", [])

    def add_store_layer(self, paths):
        assert all(path.startswith(self.conf["store_dir"]) for path in paths)
        data = io.BytesIO()
        with new_tar(data) as tar:
            tar.addfile(self.member("/nix", tarfile.DIRTYPE, 0o755))
            tar.addfile(self.member("/nix/store", tarfile.DIRTYPE, 0o755))
            for path in paths:
                self.add_tree(tar, path)
        self.add_layer(data.getvalue(), paths)

    def add_customisation_layer(self, path):
        place = self.root + path
        if os.path.exists(f"{place}/layer.tar") and os.path.exists(f"{place}/checksum"):
            with open(f"{place}/layer.tar", "rb") as layer, open(f"{place}/checksum") as checksum:
                like = self.tar.gettarinfo(fileobj=layer)
                return self.add_layer(layer.read(), [path], checksum.read().strip(), like)
        data = io.BytesIO()
        with new_tar(data) as tar:
            self.add_tree(tar, path, cut=len(path))
        self.add_layer(data.getvalue(), [path])

    def config(self, base_env):
        if self.conf["from_image"] is None:
            return self.conf["config"]
        env = {entry.split("=", 1)[0]: entry for entry in base_env + self.conf["config"].get("Env", [])}
        return {**self.conf["config"], "Env": list(env.values())} if env else self.conf["config"]

    def write(self, tag=None):
        conf, created = self.conf, parse_time(self.conf["created"]).isoformat()
        base_env = self.add_base_image(conf["from_image"]) if conf["from_image"] is not None else []
        for paths in conf["store_layers"]:
            self.add_store_layer(paths)
        self.add_customisation_layer(conf["customisation_layer"])
        names, digests, comments = zip(*self.layers)
        image = {
            "created": created, "architecture": conf["architecture"], "os": "linux", "config": self.config(base_env),
            "rootfs": {"diff_ids": digests, "type": "layers"},
            "history": [{"created": created, "comment": f"store paths: {comment!r}"} for comment in comments],
        }
        data = json.dumps(image, indent=4).encode()
        config = hashlib.sha256(data).hexdigest() + ".json"
        self.add_bytes(config, data)
        manifest = [{"Config": config, "RepoTags": [tag or conf["repo_tag"]], "Layers": names}]
        self.add_bytes("manifest.json", json.dumps(manifest, indent=4).encode())
        self.tar.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("conf")
    parser.add_argument("-t", "--repo_tag")
    parser.add_argument("--store-root", default="")
    args = parser.parse_args()
    with open(args.conf) as conf:
        Image(json.load(conf), sys.stdout.buffer, args.store_root).write(args.repo_tag)


if __name__ == "__main__":
    main()
