# nixpkgs' examples of dockerTools have the same inputs when made by our functions, and the table in
# docs/examples.md is up to date.
{ pkgs }:

let
  inherit (pkgs) lib;
  inherit (import ../testing/examples.nix { inherit pkgs; }) problems table;
in
problems
++
  lib.optional (!lib.hasSuffix "\n\n${table}" (builtins.readFile ../../docs/examples.md))
    "the table in docs/examples.md is out of date: run scripts/list-examples"
