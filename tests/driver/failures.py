"""Images whose commands fail: the messages of the build, and that there is no image."""

import subprocess

TOOLS = "(import ./nix/testing { host = HOST; })"
# Simulates a kernel that forbids namespaces.
NO_NAMESPACES = """(p.dockerTools.override {
  util-linux = p.writeShellScriptBin "unshare" "exit 1";
})"""
WRITE = "echo > ${p.bash}/file"
MOUNT = "${p.util-linux}/bin/mount -t ext4 /dev/null /tmp"

# The tools, the arguments of buildImage, and parts of the build's messages.
CASES = [
    (
        "p.dockerTools",
        'runAsRoot = "echo working; (exit 7)";',
        ["working", "in docker image x: runAsRoot ended with exit status 7", "runAsRootInVM = true"],
    ),
    (
        "p.dockerTools",
        f'runAsRoot = "{MOUNT}";',
        ["mount: /tmp: permission denied", "exit status 32", "no disk can be mounted"],
    ),
    (NO_NAMESPACES, f'runAsRoot = "{MOUNT}";', ["exit status", "no disk can be mounted"]),
    (NO_NAMESPACES, 'runAsRoot = "exit 9";', ["runAsRoot ended with exit status 9"]),
    # The store must be read-only, even if the user who builds owns it.
    ("p.dockerTools", f'runAsRoot = "{WRITE}";', ["Read-only file system"]),
    (NO_NAMESPACES, f'runAsRoot = "{WRITE}";', ["Permission denied"]),
    (
        "p.dockerTools",
        'runAsRoot = ":"; copyToRoot = p.runCommand "y" { } "mkdir $out; ln -s /tmp $out/proc";'
        " keepContentsDirlinks = true;",
        ["runAsRoot needs the directory /proc, which is a link in the root"],
    ),
    ("p.dockerTools", 'runAsRoot = ":"; extraCommands = "exit 3";', ["failed with exit code 3"]),
    (
        "p.dockerTools",
        'runAsRoot = ":"; fromImage = p.writeText "y" "no archive";',
        ["cannot read the image", "-y`: it is cut off"],
    ),
]


def check(store, root):
    for tools, arguments, expected in CASES:
        expression = f"let p = {TOOLS}; in {tools}.buildImage {{ name = \"x\"; {arguments} }}"
        done = subprocess.run(
            ["nix-build", "--no-out-link", "--expr", expression.replace("HOST", str(store.host))],
            cwd=root,
            env=store.environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0, f"{arguments} should have failed: {done.stdout}"
        for part in expected:
            assert part in done.stderr, f"{arguments}: expected {part!r} in {done.stderr}"
    return len(CASES)
