# nixpkgs' own test, on images that our functions make.
{ pkgs }:

pkgs.nixosTests.docker-tools-overlay
