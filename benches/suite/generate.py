"""Makes one store path of the benchmark's closures at $out.

usage: generate.py random SEED COUNT MIN MAX    COUNT files of MIN to MAX random bytes
       generate.py copies SLOT SLOTS BYTES DIR...   a share of the files below DIRs
       generate.py root PROGRAM                 the files at an image's root
"""
import os
import random
import shutil
import stat
import sys
import zlib

FILES_PER_DIRECTORY = 50
# Files are kept together down to this depth below /usr: /usr/lib/<machine>/<name>.
UNIT_DEPTH = 5


def generate_random(out, seed, count, smallest, largest):
    numbers = random.Random(seed)
    for file in range(int(count)):
        directory = f"{out}/share/part-{file // FILES_PER_DIRECTORY:03}"
        os.makedirs(directory, exist_ok=True)
        with open(f"{directory}/file-{file:05}.dat", "wb") as output:
            output.write(numbers.randbytes(numbers.randint(int(smallest), int(largest))))


def generate_copies(out, slot, slots, limit, *roots):
    """Copies the files whose unit falls into the slot, up to `limit` bytes."""
    left = int(limit)
    os.mkdir(out)
    for root in roots:
        # No part may take everything: each takes at most a third of what is left, the last one the
        # rest.
        share = left if root == roots[-1] else left // 3
        for path in sorted(files_below(root)):
            unit = "/".join(path.split("/")[:UNIT_DEPTH])
            if zlib.crc32(os.fsencode(unit)) % int(slots) != int(slot):
                continue
            size = os.lstat(path).st_size
            if size <= share:
                target = out + path.removeprefix("/usr")
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(path, target, follow_symlinks=False)
                if not os.path.islink(target):
                    # Nix does not allow set-id bits, and normalizes the rest of the mode.
                    os.chmod(target, os.stat(path).st_mode & 0o755)
                share, left = share - size, left - size


def files_below(root):
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode) or stat.S_ISREG(mode) and os.access(path, os.R_OK):
                yield path


def generate_root(out, program):
    for directory in ("bin", "etc", "tmp"):
        os.makedirs(f"{out}/{directory}")
    os.symlink(program, f"{out}/bin/start")
    with open(f"{out}/etc/passwd", "w") as output:
        output.write("root:x:0:0:root:/root:/bin/start\n")


if __name__ == "__main__":
    kinds = {"random": generate_random, "copies": generate_copies, "root": generate_root}
    kinds[sys.argv[1]](os.environ["out"], *sys.argv[2:])
