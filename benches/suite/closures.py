"""The closures: built by Nix in a private store, which is mounted on /nix for one process."""
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

EXPRESSION = Path(__file__).with_name("closures.nix")


def enter_store(directory):
    """Restarts this program with the directory's store on /nix, unless that is already the case."""
    nix = directory / "nix"
    (nix / "store").mkdir(parents=True, exist_ok=True)
    if not os.path.isdir("/nix"):
        try:
            os.mkdir("/nix")
        except OSError:
            sys.exit("benchmark: no directory /nix to mount the store on; run `mkdir /nix`")
        print("benchmark: created the directory /nix, to mount the store on", file=sys.stderr)
    if os.path.samefile("/nix", nix):
        return
    if not shutil.which("unshare"):
        sys.exit("benchmark: no `unshare` to mount the store with; install util-linux")
    if os.path.realpath(sys.executable).startswith("/nix/"):
        sys.exit("benchmark: the programs to run are in /nix; use another system")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    mount = 'mount --bind "$0" /nix && exec "$@"'
    command = ["unshare", "--mount", *user, "sh", "-c", mount, nix, sys.executable, *sys.argv]
    os.execvp(command[0], command)


@dataclass
class Closure:
    directory: Path
    name: str
    conf: Path
    changed: Path
    paths: list
    files: list

    @classmethod
    def make(cls, name, directory):
        conf, changed = (build(f"{name}.{kind}", directory) for kind in ("conf", "changed"))
        said = json.loads(conf.read_text())
        paths = [path for layer in said["store_layers"] for path in layer]
        paths.append(said["customisation_layer"])
        files = [(file.stat().st_size, str(file)) for path in paths
                 for file in Path(path).rglob("*") if file.is_file() and not file.is_symlink()]
        return cls(directory, name, conf, changed, paths, files)

    def describe(self):
        size = sum(size for size, _ in self.files) / 1e6
        return f"{len(self.paths)} paths, {len(self.files):,} files, {size:,.0f} MB."

    def archive(self, binary, conf=None):
        conf = conf or self.conf
        path = self.directory / "archives" / f"{conf.name}.tar"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            part = path.with_suffix(".part")
            with open(part, "wb") as out:
                command = [binary, "stream", conf, "--no-cache"]
                if subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL).returncode:
                    sys.exit(f"benchmark: {binary} could not stream {conf}")
            part.rename(path)
            os.sync()
        return path

    def with_nar_hashes(self, conf, folder):
        """Writes a conf with the NAR hashes of its paths, like those of our flake."""
        said = json.loads(conf.read_text())
        paths = [path for layer in said["store_layers"] for path in layer]
        paths.append(said["customisation_layer"])
        command = ["nix-store", "--query", "--hash", *paths]
        hashes = subprocess.run(command, env=nix_environment(self.directory), check=True,
                                capture_output=True, text=True).stdout.split()
        named = folder / f"named-{conf.name}"
        named.write_text(json.dumps({**said, "nar_hashes": dict(zip(paths, hashes))}))
        return named

    def file_list(self, batches):
        """Splits the files into batches of about equal size; returns the list and their lengths."""
        order = [path for _, path in sorted(self.files, reverse=True)]
        batches = min(batches, len(order))
        dealt = [path for batch in range(batches) for path in order[batch::batches]]
        path = self.directory / f"{self.name}.files"
        path.write_bytes(b"".join(os.fsencode(name) + b"\0" for name in dealt))
        return path, -(-len(order) // batches)


def build(attribute, directory):
    link = directory / "confs" / attribute
    link.parent.mkdir(exist_ok=True)
    if shutil.which("nix-build"):
        command = ["nix-build", EXPRESSION, "--attr", attribute, "--out-link", link,
                   "--argstr", "python", os.path.realpath(sys.executable), "--quiet",
                   "--max-jobs", str(os.cpu_count())]
        for option in ("sandbox=false", "substitute=false", "build-users-group="):
            command += ["--option", *option.split("=")]
        environment = nix_environment(directory)
        if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode:
            sys.exit(f"benchmark: nix-build could not build {attribute}")
    elif not link.is_symlink():
        sys.exit("benchmark: no nix-build to build the closures with")
    return link.readlink()


def nix_environment(directory):
    return dict(os.environ, NIX_REMOTE="local", NIX_STORE_DIR="/nix/store",
                NIX_STATE_DIR="/nix/var/nix", NIX_LOG_DIR="/nix/var/log/nix",
                XDG_CACHE_HOME=str(directory / "nix-cache"))
