# The checks of `nix flake check`. The `evaluation` checks run wherever Nix can evaluate;
# a failing one reports what is wrong. The others are built: every package and shell, the
# VM tests, found by their file names, and the comparison with nixpkgs' own images.
{
  pkgs,
  packages,
  devShells,
}:

let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) isLinux;

  prefixed = prefix: lib.mapAttrs' (name: lib.nameValuePair "${prefix}-${name}");

  vmTests = import ./testing/vm-tests.nix { inherit pkgs; };

  # Each file yields a list of problems, which must be empty. nixpkgs' examples and NixOS
  # are only for Linux.
  evaluation = lib.mapAttrs (
    name: file:
    let
      problems = lib.callPackageWith { inherit pkgs vmTests; } file { };
    in
    pkgs.runCommand "evaluation-${name}" { } (
      if problems == [ ] then
        "touch $out"
      else
        throw "the check ${name} found that:\n${lib.concatMapStrings (problem: "  ${problem}\n") problems}"
    )
  ) (
    removeAttrs (import ./files.nix lib ./evaluation) (
      lib.optionals (!isLinux) [
        "examples"
        "nixos-image"
        "nixos-module"
        "nixpkgs-tests"
        "vm-tests"
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
