# What `nix flake check` looks at. Wherever Nix can evaluate: `evaluation`, which
# the names of a broken promise end. By building: every package and shell, the VM
# tests, found by their file names, and the comparison with nixpkgs' own images.
{
  pkgs,
  packages,
  devShells,
}:

let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) isLinux;

  prefixed = prefix: lib.mapAttrs' (name: lib.nameValuePair "${prefix}-${name}");

  # The Nix files of a directory, by their names.
  files =
    directory:
    lib.mapAttrs' (file: _: lib.nameValuePair (lib.removeSuffix ".nix" file) (directory + "/${file}")) (
      lib.filterAttrs (file: _: lib.hasSuffix ".nix" file) (builtins.readDir directory)
    );

  callTest = lib.callPackageWith (
    pkgs // { vmTest = pkgs.callPackage ./testing/vm-test.nix { }; }
  );
  # nixpkgs runs some of its tests on some systems only; elsewhere they are empty.
  vmTests = lib.filterAttrs (_: lib.isDerivation) (
    lib.mapAttrs (_: file: callTest file { }) (files ./tests)
  );

  # Each file gives a list of sentences about what is wrong, and there must be none.
  # nixpkgs' examples and NixOS are for Linux alone.
  evaluation = lib.mapAttrs (
    name: file:
    let
      problems = import file { inherit pkgs; };
    in
    pkgs.runCommand "evaluation-${name}" { } (
      if problems == [ ] then
        "touch $out"
      else
        throw "the check ${name} found that:\n${lib.concatMapStrings (problem: "  ${problem}\n") problems}"
    )
  ) (
    removeAttrs (files ./evaluation) (
      lib.optionals (!isLinux) [
        "examples"
        "nixos-image"
        "nixos-module"
        "nixpkgs-tests"
      ]
    )
  );
in
prefixed "package" packages
// prefixed "devShell" devShells
// prefixed "evaluation" evaluation
// lib.optionalAttrs isLinux (
  prefixed "vm" vmTests
  // {
    identical-to-nixpkgs = pkgs.callPackage ./testing/identical-to-nixpkgs.nix { };
  }
)
