# With the overlay, the images in nixpkgs' own tests of dockerTools are made by our functions, not by
# nixpkgs'.
{ pkgs }:

let
  inherit (pkgs) lib;

  nixpkgs = import pkgs.path { inherit (pkgs.stdenv.hostPlatform) system; };
  theirs = nixpkgs.dockerTools.examples;
  ours = pkgs.dockerTools.examples;

  path = image: builtins.unsafeDiscardStringContext image.outPath;
  images = lib.filter (name: lib.isDerivation theirs.${name}) (lib.attrNames theirs);
  # Images that are fetched, and those whose commands need nixpkgs' virtual machine, are the same.
  made = lib.filter (name: path theirs.${name} != path ours.${name}) images;

  problems =
    name:
    let
      script = builtins.unsafeDiscardStringContext pkgs.nixosTests.${name}.config.testScriptString;
      tested = set: lib.filter (image: lib.hasInfix (path set.${image}) script) made;
    in
    lib.optional (tested ours == [ ]) "${name} tests no image of ours"
    ++ map (image: "${name} tests nixpkgs' own ${image}") (tested theirs);
in
lib.optional (
  lib.length images - lib.length made > 3
) "of ${toString (lib.length images)} examples, only ${toString (lib.length made)} are made by ours"
++ lib.concatMap problems [
  "docker-tools"
  "docker-tools-nix-shell"
  "docker-tools-overlay"
]
