"""Wrong arguments of the image functions fail at evaluation, with a message on how to fix them."""

import subprocess

STREAM = "(import ./nix/testing { host = HOST; }).dockerTools.streamLayeredImage"
SHELL = "(import ./nix/testing { host = HOST; }).dockerTools.streamNixShellImage"
BUILD = "(import ./nix/testing { host = HOST; }).dockerTools.buildLayeredImage"
INDEX = "(import ./nix/testing { host = HOST; }).dockerTools.multiArch"
ONE = "(import ./nix/testing { host = HOST; }).dockerTools.buildImage"
MAC = ONE.replace("{ host", '{ system = "aarch64-darwin"; host')
# An image, and an archive of one.
NIXOS = "(import ./nix/testing { host = HOST; }).dockerTools.buildNixosImage"
IMAGE = f'({STREAM} {{ name = "y"; }})'
ARCHIVE = f'({BUILD} {{ name = "z"; }})'

# The function, its arguments, and a part of Nix's message.
CASES = [
    (STREAM, "{ }", 'write name = "app"'),
    (STREAM, '{ name = "a b"; }', "a name is made of letters"),
    (STREAM, '{ name = "host:5000/app:1"; }', 'name = "host:5000/app"; tag = "1"'),
    (STREAM, '{ name = "x"; tag = 5; }', "tag must be"),
    (STREAM, '{ name = "x"; tag = "a b"; }', "tag must be"),
    (STREAM, '{ name = "x"; maxLayers = 1; }', "a number greater than 1"),
    (STREAM, '{ name = "x"; copyToRoot = 5; }', "a directory or a list of directories"),
    (STREAM, '{ name = "x"; perms = { }; }', "a list of sets: write [ { path = root;"),
    (STREAM, '{ name = "x"; perms = [ { } ]; }', "number 1 of perms needs a path"),
    (STREAM, '{ name = "x"; perms = [ { path = "/y"; } ]; }', "write it into copyToRoot"),
    (
        STREAM,
        '{ name = "x"; copyToRoot = "/y"; perms = [ { path = "/y"; mode = "rw"; } ]; }',
        "in number 1 of perms, mode must be three or four octal digits",
    ),
    (
        STREAM,
        '{ name = "x"; copyToRoot = "/y"; perms = [ { path = "/y"; user = 1; } ]; }',
        "in number 1 of perms there is no user: the keys are gid",
    ),
    (STREAM, '{ name = "x"; layers = { deps = [ ]; }; }', "layers must be a list of layers"),
    (STREAM, f'{{ name = "x"; layers = [ {IMAGE} ]; }}', "you wrote a package"),
    (STREAM, '{ name = "x"; layers = [ { } ]; }', "number 1 of layers is empty"),
    (STREAM, '{ name = "x"; layers = [ { dep = [ ]; } ]; }', "in number 1 of layers there is no dep"),
    (
        STREAM,
        '{ name = "x"; layers = [ { deps = [ "/y" ]; perms = [ { path = "/z"; } ]; } ]; }',
        "number 1 of perms in number 1 of layers is for /z, which is not in the same layer",
    ),
    (STREAM, '{ name = "x"; runAsRoot = ""; }', "write fakeRootCommands"),
    (STREAM, '{ name = "x"; compressor = "gz"; }', "write buildLayeredImage"),
    (STREAM, '{ name = "x"; contens = [ ]; }', "there is no argument contens"),
    (STREAM, '{ name = "x"; uid = "root"; }', "uid must be a number"),
    (STREAM, '{ name = "x"; created = 0; }', "created must be a string"),
    (STREAM, '{ name = "x"; enableFakechroot = "yes"; }', "true or false"),
    (STREAM, '{ name = "x"; contents = 1; }', "a package or a list of packages"),
    (STREAM, '{ name = "x"; layeringPipeline = 3; }', "popularity_contest"),
    (STREAM, '{ name = "x"; fromImage = { outPath = "/y"; isExe = true; }; }', "OCI layout"),
    (STREAM, '{ name = "x"; layering = "ordered"; }', 'a set such as { strategy = "ordered"; }'),
    (STREAM, '{ name = "x"; layering.strategy = "random"; }', 'one of "auto", "ordered"'),
    (STREAM, '{ name = "x"; layering.stragety = "auto"; }', "there is no layering.stragety"),
    (STREAM, '{ name = "x"; layering = { strategy = "ordered"; own = "x"; }; }', "write [ app ]"),
    (STREAM, '{ name = "x"; layering.own = [ "x" ]; }', "for the strategies ordered and delta"),
    (STREAM, '{ name = "x"; layering.previous = "x"; }', 'write strategy = "delta"'),
    (
        STREAM,
        '{ name = "x"; layering.strategy = "delta"; layeringPipeline = [ ]; }',
        "leave out layering, or the pipeline",
    ),
    (STREAM, '{ name = "x"; config = [ ]; }', "config must be a set"),
    (STREAM, '{ name = "x"; config.Cmd = [ 1 ]; }', "a list of strings"),
    (STREAM, '{ name = "x"; config.Cmd = "sh"; }', 'write it as a list: [ "sh" ]'),
    (STREAM, '{ name = "x"; config.Env = { A = "b"; }; }', "lib.mapAttrsToList"),
    (STREAM, '{ name = "x"; config.ExposedPorts = [ "80" ]; }', 'write { "80/tcp" = { }; }'),
    (STREAM, '{ name = "x"; config.User = 1000; }', "config.User must be a string"),
    (BUILD, '{ name = "x"; compressor = "xz"; }', "one of: [gz none zstd]"),
    (ONE, "{ }", 'write name = "app"'),
    (ONE, '{ name = "x:1"; }', 'name = "x"; tag = "1"'),
    (ONE, '{ name = "x"; compressor = "xz"; }', "one of: [gz none zstd]"),
    (ONE, '{ name = "x"; copyToRoot = 1; }', "whose files are copied into the root"),
    (ONE, '{ name = "x"; copyToRoot = [ ]; contents = [ ]; }', "can not specify both"),
    (ONE, '{ name = "x"; contents = [ ]; }', "The contents parameter is deprecated"),
    (ONE, '{ name = "x"; keepContentsDirlinks = "K"; }', "true or false"),
    (ONE, '{ name = "x"; uid = "root"; }', "uid must be a number"),
    (ONE, '{ name = "x"; diskSize = "1G"; }', "a number of MiB"),
    (ONE, '{ name = "x"; maxLayers = 2; }', "it makes one layer: write buildLayeredImage"),
    (ONE, '{ name = "x"; copyToRot = [ ]; }', "there is no argument copyToRot"),
    (ONE, '{ name = "x"; config.Cmd = [ 1 ]; }', "a list of strings"),
    (ONE, '{ name = "x"; runAsRoot = ":"; runAsRootInVM = true; }', "nixpkgs' virtual machine"),
    (ONE, '{ name = "x"; runAsRootInVM = "yes"; }', "runAsRootInVM must be true or false"),
    (MAC, '{ name = "x"; runAsRoot = ":"; }', "or build on Linux"),
    (ONE, '{ name = "x"; fromImage = { outPath = "/y"; isExe = true; }; }', "OCI layout"),
    (NIXOS, '{ name = "x"; }', "either modules or a toplevel"),
    (NIXOS, '{ name = "x"; modules = [ ]; toplevel = "/y"; }', "either modules or a toplevel"),
    (NIXOS, '{ name = "x"; modules = { }; }', "write [ ./configuration.nix ]"),
    (NIXOS, '{ name = "x"; modules = [ ]; }', "needs nixpkgs, which is not available here: write toplevel"),
    (NIXOS, '{ name = "x"; system = "y"; }', "write modules, or toplevel"),
    (INDEX, "{ images = [ ]; }", 'write name = "app"'),
    (INDEX, '{ name = "x:1"; images = [ ]; }', 'name = "x"; tag = "1"'),
    (INDEX, '{ name = "x"; tag = "a b"; images = [ ]; }', "tag must be"),
    (INDEX, '{ name = "x"; }', "write images = { amd64 = app;"),
    (INDEX, '{ name = "x"; images = null; }', "write images = { amd64 = app;"),
    (INDEX, '{ name = "x"; images = [ ]; }', "an index needs images"),
    (INDEX, '{ name = "x"; images = { }; }', "an index needs images"),
    (INDEX, '{ name = "x"; images = "app"; }', "images must be a list or set of images"),
    (INDEX, f'{{ name = "x"; images = {IMAGE}; }}', "you wrote a package"),
    (INDEX, '{ name = "x"; images = [ ]; config = { }; }', "an argument of each of the images"),
    (INDEX, '{ name = "x"; images = [ ]; platforms = [ ]; }', "there is no argument platforms"),
    (INDEX, '{ name = "x"; images.arm = "/image.tar"; }', "images.arm must be an image made by"),
    (INDEX, f'{{ name = "x"; images = [ {IMAGE} 5 ]; }}', "number 2 of images must be"),
    (
        INDEX,
        f'{{ name = "x"; images = [ ({ONE} {{ name = "y"; }}) ]; }}',
        "streamLayeredImage or buildLayeredImage",
    ),
    (
        INDEX,
        f'{{ name = "x"; images = {{ a = {IMAGE}; b = {ARCHIVE}; }}; }}',
        "images.a and images.b are for linux/",
    ),
    (
        SHELL,
        '{ drv = { name = "x"; drvAttrs = { }; }; run = "a"; command = "b"; }',
        "give either command",
    ),
    (
        SHELL,
        '{ drv = { name = "x"; drvAttrs.__structuredAttrs = true; }; }',
        "x has __structuredAttrs",
    ),
]


def check(store, root):
    for function, arguments, expected in CASES:
        expression = f"({function} {arguments}).outPath".replace("HOST", str(store.host))
        done = subprocess.run(
            ["nix-instantiate", "--eval", "--expr", expression],
            cwd=root,
            env=store.environment(),
            capture_output=True,
            text=True,
        )
        assert expected in done.stderr, f"{arguments}: expected {expected!r} in {done.stderr}"
        # A warning still yields a path, an error does not.
        assert (done.returncode == 0) == ("warning:" in done.stderr), f"{arguments}: {done.stderr}"
    return len(CASES)
