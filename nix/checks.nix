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

  vmTests = import ./testing/vm-tests.nix { inherit pkgs; };

  # Each file gives a list of sentences about what is wrong, and there must be none.
  # nixpkgs' examples and NixOS are for Linux alone.
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
