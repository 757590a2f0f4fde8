# Replaces the image functions of dockerTools. Everything else, such as shadowSetup, is still
# nixpkgs'.
final: prev:
let
  inherit (prev) lib;

  # nixpkgs' attributes, some replaced by ours. `override` passes each side the arguments
  # that it accepts; nixpkgs' side rejects those that neither accepts.
  merge =
    theirs: tools:
    let
      ours = tools.override { buildImageInVM = theirs.buildImage; };
      takes = lib.functionArgs ours.override;
      oursAlone = lib.attrNames (removeAttrs takes (lib.attrNames (lib.functionArgs theirs.override)));
    in
    theirs
    // removeAttrs ours [ "overrideDerivation" ]
    // lib.optionalAttrs (theirs ? examples) {
      # nixpkgs' examples, made with these functions.
      examples = final.callPackage (final.path + "/pkgs/build-support/docker/examples.nix") {
        inherit (merge theirs tools)
          buildImage
          buildImageWithNixDb
          buildLayeredImage
          fakeNss
          pullImage
          shadowSetup
          streamNixShellImage
          ;
      };
    }
    // {
      override = lib.mirrorFunctionArgs theirs.override (
        arguments:
        merge (theirs.override (old: removeAttrs (lib.toFunction arguments old) oursAlone)) (
          ours.override (old: builtins.intersectAttrs takes (lib.toFunction arguments old))
        )
      );
    };
in
{
  nix-image = final.callPackage ./package.nix { };
  dockerTools = merge prev.dockerTools (
    final.callPackage ./images {
      # What makes and delivers images runs on the build platform. callPackage alone
      # would pass packages for the host platform.
      inherit (final.buildPackages) nix-image runtimeShell;
      # NixOS systems use this nixpkgs, with its overlays.
      evalNixos =
        { modules, specialArgs }:
        import (final.path + "/nixos/lib/eval-config.nix") {
          inherit specialArgs;
          system = null;
          modules = [ { nixpkgs.pkgs = final.pkgsLinux; } ] ++ modules;
        };
      # Images are for Linux, even if a Mac makes them.
      inherit (final.pkgsLinux)
        bashInteractive
        cacert
        coreutils
        fakeNss
        ;
    }
  );
}
