# nixpkgs' examples of dockerTools are made of the same by ours, and docs/examples.md says of
# each what that means.
{ pkgs }:

let
  inherit (pkgs) lib;
  inherit (import ../testing/examples.nix { inherit pkgs; }) problems table;
in
problems
++
  lib.optional (!lib.hasSuffix "\n\n${table}" (builtins.readFile ../../docs/examples.md))
    "docs/examples.md has another table: write it anew with scripts/list-examples"
