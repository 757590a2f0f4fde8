# nixpkgs' own test, on images made by our functions.
{ pkgs }:

pkgs.nixosTests.docker-tools
