# The tests of nix/tests, by their file names.
{ pkgs }:

let
  inherit (pkgs) lib;

  call = lib.callPackageWith (pkgs // { vmTest = pkgs.callPackage ./vm-test.nix { }; });
in
# nixpkgs runs some of its tests on some systems only; elsewhere they are empty.
lib.filterAttrs (_: lib.isDerivation) (
  lib.mapAttrs (_: file: call file { }) (import ../files.nix lib ../tests)
)
