# What `nix flake check` builds: the VM tests, found by their file names, the
# comparison with nixpkgs' own images, and every package and shell.
{
  pkgs,
  packages,
  devShells,
}:

let
  inherit (pkgs) lib;

  prefixed = prefix: lib.mapAttrs' (name: lib.nameValuePair "${prefix}-${name}");

  callTest = lib.callPackageWith (
    pkgs // { vmTest = pkgs.callPackage ./testing/vm-test.nix { }; }
  );
  # nixpkgs runs some of its tests on some systems only; elsewhere they are empty.
  vmTests = lib.filterAttrs (_: lib.isDerivation) (
    lib.mapAttrs' (
      file: _:
      lib.nameValuePair "vm-${lib.removeSuffix ".nix" file}" (callTest (./tests + "/${file}") { })
    ) (lib.filterAttrs (file: _: lib.hasSuffix ".nix" file) (builtins.readDir ./tests))
  );
in
prefixed "package" packages
// prefixed "devShell" devShells
// lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux (
  vmTests
  // {
    identical-to-nixpkgs = pkgs.callPackage ./testing/identical-to-nixpkgs.nix { };
  }
)
