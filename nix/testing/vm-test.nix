# A NixOS VM test out of scripts of tests/scripts, which run without NixOS as well: by
# tests/driver on a machine as it is, by tests/vm in machines of Debian's packages.
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
  # The NixOS options that start the engine.
  node,
  # When it is ready.
  ready,
  unpacks ? [
    "gzip"
    "zstd"
  ],
  imageIdIsConfig ? true,
  # The store is on a disk of its own, so that nothing can be linked.
  layersAre ? [ "sent" ],
}:

let
  inherit (pkgs.callPackage ./images.nix { }) table;
  moduleUnit = pkgs.callPackage ../modules/unit.nix { };
in
testers.runNixOSTest {
  inherit name;

  nodes.machine = {
    imports = [ node ];
    virtualisation = {
      diskSize = 8192;
      memorySize = 2048;
      # The images, in the machine's store as on the host.
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

    engine = "${engine}"
    unpacks: list[str] = ${builtins.toJSON unpacks}
    image_id_is_config = ${if imageIdIsConfig then "True" else "False"}
    images = {name: describe(image) for name, image in json.load(open("${table}")).items()}
    as_user = ""
    layers_are: list[str] = ${builtins.toJSON layersAre}
    scratch = "/var/tmp"
    nix_image = "nix-image"
    registry = "${pkgs.distribution}/bin/registry"
    store = "${builtins.storeDir}"
    unit_command = "${lib.getExe moduleUnit}"

    start_all()
    ${ready}
  ''
  + lib.concatMapStrings (script: builtins.readFile (../../tests/scripts + "/${script}.py")) (
    [ "common" ] ++ scripts
  );
}
