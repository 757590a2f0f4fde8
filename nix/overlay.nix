# dockerTools' images by nix-image. What is not here, such as shadowSetup, stays
# nixpkgs'.
final: prev:
let
  inherit (prev) lib;

  # nixpkgs' attributes with ours in their places. `override` gives each side
  # those arguments that it has, and what neither has is nixpkgs' to refuse.
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
      # nixpkgs' examples, made by what is ours.
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
      # What makes and delivers images runs where they are built. callPackage alone
      # would give what runs where the packages of this set do.
      inherit (final.buildPackages) nix-image runtimeShell;
      # A system is one of this nixpkgs, with its overlays.
      evalNixos =
        { modules, specialArgs }:
        import (final.path + "/nixos/lib/eval-config.nix") {
          inherit specialArgs;
          system = null;
          modules = [ { nixpkgs.pkgs = final.pkgsLinux; } ] ++ modules;
        };
      # Images are Linux', also those that a Mac makes.
      inherit (final.pkgsLinux)
        bashInteractive
        cacert
        coreutils
        fakeNss
        ;
    }
  );
}
