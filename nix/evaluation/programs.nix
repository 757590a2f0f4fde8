# Each program of an image runs its command on the image.
{ pkgs }:

let
  inherit (pkgs) lib;
  inherit (pkgs.dockerTools) buildImage buildLayeredImage streamLayeredImage;

  arguments.name = "app";
  stream = streamLayeredImage arguments;
  archive = buildLayeredImage arguments;
  oneLayer = buildImage arguments;

  commands = [
    "inspect"
    "load"
    "push"
    "serve"
    "tree"
    "why"
    "write"
  ];
  # The command line of a program, without nix-image's own path.
  runs = program: builtins.unsafeDiscardStringContext program.buildCommand;
  lacks =
    what: image: operand:
    map (command: "${what} has no program that runs ${command} on it") (
      lib.filter (
        command:
        !lib.hasInfix "/bin/nix-image ${command} ${builtins.unsafeDiscardStringContext operand} " (
          runs image.${command}
        )
      ) commands
    );
in
lacks "a stream" stream "${stream.conf}"
++ lacks "a layered archive" archive "${archive.stream.conf}"
++ lacks "an image of one layer" oneLayer "${oneLayer}"
