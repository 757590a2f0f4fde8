# The tests in nix/tests, by file name.
{ pkgs }:

let
  inherit (pkgs) lib;

  call = lib.callPackageWith (pkgs // { vmTest = pkgs.callPackage ./vm-test.nix { }; });
in
# nixpkgs runs some of its tests only on some systems; on others they are empty.
lib.filterAttrs (_: lib.isDerivation) (
  lib.mapAttrs (_: file: call file { }) (import ../files.nix lib ../tests)
)
