# nixpkgs' own test, on an image made by our buildImage; nix/evaluation/nixpkgs-tests.nix checks that
# it is ours.
{ pkgs }:

pkgs.nixosTests.docker-tools-overlay
