# nixpkgs' own test, on an image that our buildImage makes; nix/evaluation/nixpkgs-tests.nix
# sees to it that it is ours.
{ pkgs }:

pkgs.nixosTests.docker-tools-overlay
