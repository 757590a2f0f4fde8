# nixpkgs with its own tests of dockerTools turned on ours: the examples that
# they load are made by our functions.
pkgs:

pkgs.extend (
  final: prev: {
    dockerTools = prev.dockerTools // {
      examples = final.callPackage (prev.path + "/pkgs/build-support/docker/examples.nix") {
        inherit (final.dockerTools)
          buildImage
          buildImageWithNixDb
          buildLayeredImage
          fakeNss
          pullImage
          shadowSetup
          streamNixShellImage
          ;
      };
    };
  }
)
