#!/usr/bin/env python3
"""Writes a store like those of Nix, and confs of images that are hard to unpack.

usage: make_store.py ROOT BUSYBOX

BUSYBOX is a static busybox; it becomes the images' only program. Everything goes
below ROOT/nix/store, with the owner, modes and time that Nix gives, and into
ROOT/confs/NAME.json.
"""

import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path

os.umask(0o022)
ROOT = Path(sys.argv[1])
DIGITS = "0123456789abcdfghijklmnpqrsvwxyz"
# cap_net_bind_service=ep, as the kernel stores it.
CAPABILITY = "\x01\x00\x00\x02\x00\x04" + "\x00" * 14


def store_path(name):
    digest = hashlib.sha256(name.encode()).digest()
    return f"/nix/store/{''.join(DIGITS[byte % 32] for byte in digest)}-{name}"


def here(path):
    return ROOT / path.lstrip("/")


def noise(size, seed):
    out = bytearray()
    while len(out) < size:
        out += hashlib.sha256(f"{seed}:{len(out)}".encode()).digest()
    return bytes(out[:size])


def write(path, data, mode=0o444):
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    file.chmod(mode)


def seal(top):
    """Sets the modes and the time of the store; executables stay executable."""
    for folder, folders, files in os.walk(os.fsencode(top), topdown=False):
        for name in folders + files:
            entry = os.path.join(folder, name)
            if not os.path.islink(entry):
                executable = os.path.isdir(entry) or os.stat(entry).st_mode & 0o100
                os.chmod(entry, 0o555 if executable else 0o444)
            os.utime(entry, (1, 1), follow_symlinks=False)
    if os.path.isdir(top):
        os.chmod(top, 0o555)
    else:
        os.chmod(top, 0o444)
    os.utime(top, (1, 1))


def tools(busybox):
    path = store_path("tools-1.0")
    write(here(path) / "bin/busybox", Path(busybox).read_bytes(), 0o555)
    for name in ["sh", "cat", "find", "chmod", "chown", "touch", "mv", "rm", "stat", "ls"]:
        (here(path) / f"bin/{name}").symlink_to("busybox")
    write(here(path) / "share/hello", b"hello from the store\n")
    return path


def package(number):
    """A bit of everything, with different content for each number."""
    path = store_path(f"package-{number}")
    top = here(path)
    for at in range(12):
        write(top / f"lib/python/file{at:02d}.py", noise(at * 397, f"{number}:{at}"))
    write(top / "bin/program", noise(70_000, number), 0o555)
    (top / "lib/libx.so").symlink_to("libx.so.1")
    (top / "bin/absolute").symlink_to(f"{path}/bin/program")
    (top / "empty").mkdir()
    write(top / "share/nothing", b"")
    return path


def awkward():
    path = store_path("awkward-1.0")
    top = here(path)
    for name in ["a", "a/b", "a-b", "a.b", "a b", "é", "日本", "\U0001f600", "new\nline", "back\\slash"]:
        write(top / name / "x", name.encode())
    for raw in [b"raw\x80", b"raw\xff", b"\xc3("]:
        with open(os.path.join(os.fsencode(top), raw), "wb") as file:
            file.write(raw)
    os.symlink(b"to\xff", os.path.join(os.fsencode(top), b"rawlink"))
    write(top / ("n" * 255), b"long")
    write(top / "/".join(["d" * 60] * 5) / "deep", b"deep")
    (top / "longlink").symlink_to("/".join(["t" * 60] * 5))
    write(top / "one", b"linked content\n" * 100)
    (top / "sub").mkdir()
    for other in ["two", "sub/three"]:
        os.link(top / "one", top / other)
    write(top / "big", noise(3_000_001, "big"))
    # Looks like a whiteout, and would be one in a layer.
    write(top / "sub/.wh", b"no whiteout")
    return path


def root_files(name, *files):
    """A tree to copy into the root, one of several that share directories."""
    path = store_path(name)
    for file in files:
        write(here(path) / file, noise(3000, file))
    (here(path) / "var/link").parent.mkdir(exist_ok=True)
    (here(path) / f"var/link-of-{name}").symlink_to("/etc/passwd")
    return path


def file_as_path():
    path = store_path("file.txt")
    write(here(path), b"a store path that is a file\n")
    return path


def link_as_path(target):
    path = store_path("link")
    here(path).symlink_to(target)
    return path


class Layer:
    """A tar of members in the order of the calls."""

    def __init__(self, form=tarfile.PAX_FORMAT):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(
            fileobj=self.buffer, mode="w", format=form, encoding="utf-8", errors="surrogateescape"
        )

    def add(self, name, data=None, kind=tarfile.REGTYPE, mode=0o644, owner=(0, 0), target="",
            device=(0, 0), xattrs=None, mtime=315532800):
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.mtime = kind, mode, mtime
        member.uid, member.gid = owner
        member.uname, member.gname = ("root", "root") if owner == (0, 0) else ("user", "users")
        member.linkname = target
        member.devmajor, member.devminor = device
        member.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in (xattrs or {}).items()}
        member.size = len(data or b"")
        self.tar.addfile(member, io.BytesIO(data) if data else None)

    def folder(self, name, mode=0o755, **more):
        self.add(name, kind=tarfile.DIRTYPE, mode=mode, **more)

    def bytes(self):
        self.tar.close()
        return self.buffer.getvalue()


def customisation(name, layer):
    path, data = store_path(name), layer.bytes()
    write(here(path) / "layer.tar", data)
    write(here(path) / "checksum", hashlib.sha256(data).hexdigest().encode() + b"\n")
    return path


def plain_customisation(sh):
    layer = Layer(tarfile.GNU_FORMAT)
    layer.folder("./", mtime=1)
    layer.folder("./bin", mtime=1)
    layer.add("./bin/sh", kind=tarfile.SYMTYPE, mode=0o777, target=sh, mtime=1)
    layer.folder("./tmp", mode=0o1777, mtime=1)
    return customisation("plain-customisation-layer", layer)


def owned_customisation(sh):
    layer = Layer(tarfile.GNU_FORMAT)
    layer.folder("./", mode=0o711)
    layer.folder("./bin")
    layer.add("./bin/sh", kind=tarfile.SYMTYPE, mode=0o777, target=sh)
    layer.folder("./home", owner=(1000, 100))
    layer.folder("./home/user", mode=0o700, owner=(1000, 100))
    layer.add("./home/user/.profile", b"secret\n", mode=0o600, owner=(1000, 100))
    layer.add("./home/user/link", kind=tarfile.SYMTYPE, target=".profile", owner=(1000, 100))
    layer.add("./home/user/hard", kind=tarfile.LNKTYPE, target="./home/user/.profile",
              mode=0o600, owner=(1000, 100))
    layer.folder("./tmp", mode=0o1777)
    layer.add("./bin/su", b"#!/bin/sh\n", mode=0o4755)
    layer.add("./bin/wall", b"#!/bin/sh\n", mode=0o2755, owner=(0, 5))
    layer.add("./bin/" + "w" * 150, b"long name", mode=0o555)
    return customisation("owned-customisation-layer", layer)


def first_base_layer():
    layer = Layer()
    layer.folder("./", mode=0o755)
    layer.folder("etc")
    for name in ["passwd", "keep", "drop"]:
        layer.add(f"etc/{name}", f"{name}\n".encode())
    layer.folder("hidden")
    layer.add("hidden/old", b"old")
    layer.folder("bin")
    layer.add("bin/tool", noise(5000, "tool"), mode=0o755)
    layer.add("bin/tool2", kind=tarfile.LNKTYPE, target="bin/tool", mode=0o755)
    layer.add("bin/ping", b"ping", mode=0o755, xattrs={"security.capability": CAPABILITY})
    layer.add("bin/su", b"su", mode=0o4755)
    layer.folder("marked", xattrs={"user.folder": "of a folder"})
    layer.add("marked/file", b"marked", xattrs={"user.test": "a value", "user.other": "é"})
    layer.folder("dev")
    layer.add("dev/null", kind=tarfile.CHRTYPE, mode=0o666, device=(1, 3))
    layer.add("dev/disk", kind=tarfile.BLKTYPE, mode=0o660, device=(8, 0), owner=(0, 6))
    layer.folder("run")
    layer.add("run/fifo", kind=tarfile.FIFOTYPE, mode=0o600)
    layer.folder("home", owner=(1000, 100), mode=0o750)
    layer.folder("tmp", mode=0o1777)
    layer.folder("usr")
    layer.folder("usr/lib")
    layer.add("lib", kind=tarfile.SYMTYPE, mode=0o777, target="usr/lib")
    layer.add("usr/lib/fraction", b"1", mtime=1234567890.25)
    layer.add("usr/" + "/".join(["p" * 70] * 4), b"deep")
    layer.folder("was-folder")
    layer.add("was-folder/inner", b"inner")
    layer.add("was-file", b"file")
    return layer.bytes()


def second_base_layer():
    layer = Layer(tarfile.GNU_FORMAT)
    layer.add("etc/.wh.drop")
    layer.add("hidden/.wh..wh..opq")
    layer.add("hidden/new", b"new")
    layer.add("bin/tool", b"another", mode=0o755)
    layer.add("was-folder", b"now a file")
    layer.folder("was-file")
    layer.add("was-file/inner", b"now a folder")
    layer.add("implied/parents/file", b"whose folders are not in the archive")
    layer.add("raw\udcff", b"not UTF-8")
    layer.add("g" * 180, b"GNU's long name")
    return layer.bytes()


def repeating_base_layer():
    """Duplicate names, of which the later one counts."""
    layer = Layer()
    layer.folder("again", mode=0o700)
    layer.add("again/file", b"first")
    layer.add("again/other", kind=tarfile.LNKTYPE, target="again/file")
    layer.add("again/file", b"second", mode=0o600)
    layer.folder("again", mode=0o755)
    layer.add("file-then-link", b"file")
    layer.add("file-then-link", kind=tarfile.SYMTYPE, target="again/file")
    layer.add("link-then-file", kind=tarfile.SYMTYPE, target="again/file")
    layer.add("link-then-file", b"file")
    layer.add("file-then-folder", b"file")
    layer.folder("file-then-folder")
    layer.add("file-then-folder/inner", b"inner")
    layer.folder("folder-then-file")
    layer.add("folder-then-file/inner", b"inner")
    layer.add("folder-then-file", b"file")
    return layer.bytes()


def base_image(name, layers):
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:01Z",
        "config": {"Env": ["BASE=1"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": "1970-01-01T00:00:01Z", "comment": "base"}] * len(layers),
    }).encode()
    archive = Layer()
    files = [f"{digest}/layer.tar" for digest in digests]
    for file, data in zip(files, layers):
        archive.add(file, data)
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    archive.add(config_name, config)
    manifest = [{"Config": config_name, "RepoTags": [f"{name}:1"], "Layers": files}]
    archive.add("manifest.json", json.dumps(manifest).encode())
    path = store_path(f"{name}-image.tar")
    write(here(path), archive.bytes())
    return path


def main():
    (ROOT / "nix/store").mkdir(parents=True, exist_ok=True)
    busybox = tools(sys.argv[2])
    sh = f"{busybox}/bin/sh"
    packages = [package(number) for number in range(18)]
    strange = awkward()
    plain, owned = plain_customisation(sh), owned_customisation(sh)

    def conf(name, layers, customisation=plain, **changes):
        image = {
            "architecture": "amd64", "os": "linux", "store_dir": "/nix/store", "from_image": None,
            "config": {"Cmd": [sh, "-c", f"cat {busybox}/share/hello"],
                       "Env": [f"PATH={busybox}/bin"]},
            "store_layers": layers, "customisation_layer": customisation, "repo_tag": f"{name}:1",
            "created": "1970-01-01T00:00:01+00:00", "mtime": "1970-01-01T00:00:01+00:00",
            "uid": "0", "gid": "0", "uname": "root", "gname": "root", **changes,
        }
        write(ROOT / f"confs/{name}.json", json.dumps(image).encode(), 0o644)

    odd = [file_as_path(), link_as_path(busybox)]
    conf("small", [[busybox]])
    conf("twenty", [[busybox], *([path] for path in packages), [strange, *odd]])
    # The first five layers are those of the conf above.
    conf("sharing", [[busybox], *([path] for path in packages[:4]), [packages[9], packages[8]]])
    conf("owned", [[busybox], [packages[0]]], customisation=owned)
    conf("strangers", [[busybox], [strange]], uid="1000", gid="100", uname="user", gname="users",
         mtime="2024-02-29T12:34:56+00:00")
    first = root_files("first", "etc/passwd", "etc/shadow", "home/user/.profile", "bin/su")
    second = root_files("second", "etc/app/conf", "home/user/file", "nix/var/db")
    perms = [{"path": first, "regex": "^/etc/shadow$", "mode": "0600", "gid": 42},
             {"path": first, "regex": "^/home/user", "uid": 1000, "gid": 100, "uname": "user"},
             {"path": first, "regex": "^/bin/su$", "mode": "4755"},
             {"path": second, "regex": "^/home/user", "uid": "1000", "gid": "100", "mode": "0700"},
             {"path": packages[2], "regex": "program", "uid": 3}]
    conf("copied", [[busybox], [packages[2]], []], layer_options=[
        {"layer": 1, "copy_to_root": [first], "perms": [perms[0], perms[1], perms[2], perms[4]]},
        {"layer": 2, "copy_to_root": [second], "perms": [perms[3]]}])
    conf("merged", [[busybox]], layer_options=[
        {"layer": 0, "copy_to_root": [first, second], "perms": perms[:4]}])
    # As nixpkgs' first script has it: a directory, whose root has an entry `/` in the layer.
    conf("rooted", [[busybox], [packages[0]]], customisation=first, uid="1000", gid="100",
         uname="user", gname="users")
    base = base_image("base", [first_base_layer(), second_base_layer()])
    conf("based", [[busybox], [packages[1]]], from_image=base)
    base = base_image("repeating-base", [first_base_layer(), repeating_base_layer()])
    conf("repeating", [[busybox]], from_image=base)
    for entry in (ROOT / "nix/store").iterdir():
        if entry.is_symlink():
            os.utime(entry, (1, 1), follow_symlinks=False)
        else:
            seal(entry)


main()
