"""Makes a one-layer image step by step, with the programs that nixpkgs' buildImage calls.

    steps.py FOLDER    makes what FOLDER/case.json describes in FOLDER/theirs

A description has: items, keep_dirlinks, commands, uid, gid, config, closure, name, tag and
base. The closure lacks the layer itself, which no archive contains.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tarfile

ENVIRONMENT = dict(os.environ, LC_ALL="C", TZ="UTC")
TAR = ["tar", "--hard-dereference", "--sort=name", "--mtime=@315532800"]
# What the shell takes for a layer's files.
LISTING = """
for file in $(tar -tf "$1" 2> /dev/null | xargs realpath -ms --relative-to=. 2> /dev/null); do
  [ "$file" = . ] || echo "/$file"
done
"""


def run(*command, cwd, stdin=b""):
    return subprocess.run(
        command, cwd=cwd, input=stdin, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True
    ).stdout


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tarsum(path):
    """Docker's tarsum.v1, as specified."""
    sums = []
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name + "/" * member.isdir()
            fields = ["name", name, "mode", member.mode, "uid", member.uid, "gid", member.gid]
            fields += ["size", member.size, "typeflag", member.type.decode()]
            fields += ["linkname", member.linkname, "uname", "gname"]
            fields += ["devmajor", member.devmajor, "devminor", member.devminor]
            content = archive.extractfile(member).read() if member.isreg() else b""
            text = "".join(map(str, fields)).encode("utf-8", "surrogateescape")
            sums.append(sha256(text + content))
    return "tarsum.v1+sha256:" + sha256("".join(sorted(sums)).encode())


def printed(program, document, cwd):
    arguments = {"jq": ["."], "jshon": []}[program]
    return run(program, *arguments, cwd=cwd, stdin=json.dumps(document).encode())


def main():
    folder = pathlib.Path(sys.argv[1])
    case = json.loads((folder / "case.json").read_text())
    work = folder / "theirs"
    root, image, layer = work / "root", work / "image", work / "layer.tar"
    root.mkdir(parents=True)
    image.mkdir()

    for item in case["items"]:
        links = "-aK" if case["keep_dirlinks"] else "-ak"
        run("rsync", links, "--chown=0:0", f"{item}/", f"{root}/", cwd=work)
    run("chmod", "ug+w", root, cwd=work)
    run("bash", "-ec", case["commands"], cwd=root)
    owner = [f"--owner={case['uid']}", f"--group={case['gid']}"]
    run(*TAR, *owner, "-C", root, "-cf", layer, ".", cwd=work)
    document = {**case["config"], "checksum": tarsum(layer)}

    layers, env, present = [], [], []
    if case["base"]:
        run("tar", "-C", image, "-xpf", case["base"], cwd=work)
        manifest = json.loads((image / "manifest.json").read_text())
        layers = manifest[0]["Layers"]
        config = json.loads((image / manifest[0]["Config"]).read_text())
        env = config["config"].get("Env") or []
        document["parent"] = manifest[0]["Config"].removesuffix(".json")
        for name in image.glob("*.json"):
            name.unlink()
        present = [run("bash", "-c", LISTING, "-", name, cwd=work) for name in image.glob("*/layer.tar")]
    present = set(b"".join([*present, run("bash", "-c", LISTING, "-", layer, cwd=work)]).splitlines())

    files = [] if not case["closure"] else run("find", *case["closure"], cwd=work).splitlines()
    if case["closure"] and b"/nix/store" not in present:
        (work / "nix/store").mkdir(parents=True)
        run("chmod", "-R", "555", "nix", cwd=work)
        files += [b"./nix", b"./nix/store"]
    new = b"".join(line + b"\n" for line in sorted(set(files) - present))
    added = ["--owner=0", "--group=0", "--no-recursion", "--verbatim-files-from", "-T", "/dev/stdin"]
    run(*TAR, *added, "-rf", layer, cwd=work, stdin=new)

    layer_id = sha256(printed("jshon", document, work))
    document |= {"id": layer_id, "Size": layer.stat().st_size}
    (image / layer_id).mkdir()
    (image / layer_id / "json").write_bytes(printed("jshon", document, work))
    (image / layer_id / "VERSION").write_text("1.0")
    layer.rename(image / layer_id / "layer.tar")
    layers.append(f"{layer_id}/layer.tar")

    config = dict(case["config"])
    config["config"] = dict(config["config"] or {})
    config["config"]["Env"] = env + (config["config"].get("Env") or [])
    digests = ["sha256:" + sha256((image / name).read_bytes()) for name in layers]
    config["rootfs"] = {"diff_ids": digests, "type": "layers"}
    config["history"] = [{"created": config["created"]} for _ in layers]
    text = printed("jq", config, work)
    name = f"{sha256(text)}.json"
    (image / name).write_bytes(text)
    manifest = [{"RepoTags": [f"{case['name']}:{case['tag']}"], "Layers": layers, "Config": name}]
    (image / "manifest.json").write_bytes(printed("jq", manifest, work))
    repositories = {case["name"]: {case["tag"]: layer_id}}
    (image / "repositories").write_bytes(printed("jshon", repositories, work))
    run("chmod", "-R", "ug+rw", image, cwd=work)
    run("chmod", "-R", "a-w", image, cwd=work)
    names = ["--owner=0", "--group=0", "--xform", "s:^./::"]
    run(*TAR, *names, "-C", image, "-cf", work / "image.tar", ".", cwd=work)


main()
