# Makes a NixOS VM test from scripts in tests/scripts, which also run without NixOS: with tests/driver
# on the machine itself, and with tests/vm in machines of Debian's packages.
{
  pkgs,
  lib,
  testers,
}:

{
  name,
  engine,
  scripts ? [
    "layered"
    "one-layer"
    "archives"
    "nix-shell"
    "load"
    "broken-loads"
    "restart"
  ],
  # The user who runs the engine and nix-image, if not root.
  user ? null,
  # The NixOS options that start the engine.
  node,
  # Commands that wait until the engine is ready.
  ready,
  unpacks ? [
    "gzip"
    "zstd"
  ],
  imageIdIsConfig ? true,
  # The store is on a separate disk, so nothing can be linked.
  layersAre ? [ "sent" ],
}:

let
  inherit (pkgs.callPackage ./images.nix { }) table;
  moduleUnit = pkgs.callPackage ../modules/unit.nix { };
  # There is no session of the user, which would have made this directory.
  runtime = "/run/nix-image-${user}";
  asUser = lib.optionalString (
    user != null
  ) "runuser -u ${user} -- env HOME=/home/${user} XDG_RUNTIME_DIR=${runtime} ";
in
testers.runNixOSTest {
  inherit name;

  nodes.machine = {
    imports = [ node ];
    virtualisation = {
      diskSize = 8192;
      memorySize = 2048;
      # The images, with the same store paths as on the host.
      additionalPaths = [
        moduleUnit
        table
      ];
    };
    environment.systemPackages = [
      pkgs.nix-image
      pkgs.skopeo
      pkgs.zstd
    ];
  };

  testScript = ''
    import json

    def describe(image):
        show = "" if image["isProgram"] else "cat "
        return {
            **image,
            "archive": show + image["file"],
            "conf": image["conf"] and json.load(open(image["conf"])),
            "confFile": image["conf"],
            "program": image["file"],
        }

    def stream(conf):
        return f"nix-image stream {conf}"

    engine = "${asUser}${engine}"
    unpacks: list[str] = ${builtins.toJSON unpacks}
    image_id_is_config = ${if imageIdIsConfig then "True" else "False"}
    images = {name: describe(image) for name, image in json.load(open("${table}")).items()}
    as_user = "${asUser}"
    layers_are: list[str] = ${builtins.toJSON layersAre}
    scratch = "/var/tmp"
    nix_image = "nix-image"
    registry = "${pkgs.distribution}/bin/registry"
    store = "${builtins.storeDir}"
    unit_command = "${lib.getExe moduleUnit}"

    start_all()
    ${ready}
  ''
  + lib.optionalString (user != null) ''
    machine.succeed("install -d -m 700 -o ${user} ${runtime}")
  ''
  + lib.concatMapStrings (script: builtins.readFile (../../tests/scripts + "/${script}.py")) (
    [ "common" ] ++ scripts
  );
}
