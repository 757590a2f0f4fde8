# With the overlay, each attribute of dockerTools is nixpkgs' or ours as listed here. A new attribute
# has to be added to a list.
{ pkgs }:

let
  inherit (pkgs) lib;

  ours = [
    "binSh"
    "buildImage"
    "buildImageWithNixDb"
    "buildLayeredImage"
    "buildLayeredImageWithNixDb"
    "buildNixShellImage"
    "buildNixosImage"
    "caCertificates"
    "exportImage"
    "mergeImages"
    "multiArch"
    "pullImage"
    "pullImageByDigest"
    "streamLayeredImage"
    "streamNixShellImage"
    "usrBinEnv"
  ];
  # Ours, but made from nixpkgs'.
  both = [
    "examples"
    "override"
  ];
  # Strings, programs and build steps that are not image functions.
  theirs = [
    "fakeNss"
    "mergeDrvs"
    "mkPureLayer"
    "mkRootLayer"
    "overrideDerivation"
    "runWithOverlay"
    "shadowSetup"
    "shellScript"
    "tarsum"
    "tests"
  ];

  nixpkgs = (import pkgs.path { inherit (pkgs.stdenv.hostPlatform) system; }).dockerTools;
  made = lib.attrNames (removeAttrs (pkgs.callPackage ../images { }) [
    "fakeNss"
    "override"
    "overrideDerivation"
  ]);
  listed = lib.sort lib.lessThan (ours ++ both ++ theirs);
in
map (name: "${name} is in nixpkgs' dockerTools and in no list") (
  lib.subtractLists listed (lib.attrNames nixpkgs)
)
++ map (name: "${name} is lost") (lib.subtractLists (lib.attrNames pkgs.dockerTools) listed)
++ map (name: "${name} is listed as ours, and is not made here") (lib.subtractLists made ours)
++ map (name: "${name} is made here, and is not listed as ours") (lib.subtractLists ours made)
