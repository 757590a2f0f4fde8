"""Writing to files, and serving pulls."""
import shutil

from bench import Memory
from measuring import Contender

# The server replaces the shell, whose child fetches everything from it and then terminates it.
SERVE = """
(
    while ! [ -s "$0/address" ]; do sleep 0.01; done
    skopeo --insecure-policy copy --quiet --src-tls-verify=false \
        "docker://$(cat "$0/address")/$1" "dir:$0/pulled" && kill $$ || kill -KILL $$
) &
exec "$2" serve "$3" > "$0/address"
"""


def writes(bench):
    memory, target = Memory(bench, "write"), bench.folder / "written"

    def clear():
        """Digests are remembered, as after any run; nothing else is cached."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()

    environment = memory.environment
    formats = [Contender(f"`nix-image write --format {format}`",
                         [bench.nix_image, "write", bench.closure.conf, target / format,
                          "--format", format], environment, clear)
               for format in ("oci-archive", "docker-archive", "oci")]
    again = Contender("the same again", formats[-1].command, environment)
    serve = Contender("`nix-image serve`, pulled from by skopeo",
                      ["sh", "-c", SERVE, target, f"{bench.name}:latest", bench.nix_image,
                       bench.closure.conf], environment, clear, needs="skopeo")
    return {"": [*formats, again, serve]}
