# nixpkgs' own test, on images that our functions make.
{ pkgs }:

(import ../testing/nixpkgs-tests.nix pkgs).nixosTests.docker-tools-nix-shell
