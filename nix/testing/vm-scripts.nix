# The input of tests/vm: for each test in nix/tests that is made from tests/scripts, the script that
# NixOS' driver would run, and the size of the machine. The images it loads are made from the host's
# programs.
{
  host ? ../../target/host,
  system ? builtins.currentSystem,
}:

let
  pkgs = import ./nixpkgs.nix {
    inherit host system;
    overlays = [ (import ../overlay.nix) ];
  };
  inherit (pkgs) lib;

  tests = lib.filterAttrs (_: test: test ? test.nodes.machine.virtualisation.memorySize) (
    import ./vm-tests.nix { inherit pkgs; }
  );
in
pkgs.writeText "vm-scripts.json" (
  builtins.toJSON (
    lib.mapAttrs (_: { test, ... }: {
      inherit (test) testScript;
      inherit (test.nodes.machine.virtualisation) diskSize memorySize;
    }) tests
  )
)
