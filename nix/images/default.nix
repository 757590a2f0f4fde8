# dockerTools' layered images on nix-image: same arguments, same images.
#
# Every file takes what it needs from nixpkgs by name, so the same expressions
# build from nixpkgs, from an overlay and from the host's programs (../testing).
{
  callPackage,
  buildPackages,
  # Plans when the image is built, and streams where it was built.
  nix-image ? buildPackages.nix-image,
}:

let
  check = callPackage ./check.nix { };
  compressors = callPackage ./compressors.nix { };
  helpers = callPackage ./helpers.nix { };

  streamLayeredImage = callPackage ./stream-layered-image.nix { inherit check nix-image; };
  buildLayeredImage = callPackage ./build-layered-image.nix {
    inherit check compressors streamLayeredImage;
  };
  streamNixShellImage = callPackage ./nix-shell-image.nix {
    inherit helpers streamLayeredImage;
  };
in
helpers
// {
  inherit streamLayeredImage buildLayeredImage streamNixShellImage;

  buildLayeredImageWithNixDb = args: buildLayeredImage (args // { includeNixDB = true; });

  buildNixShellImage =
    {
      drv,
      compressor ? "gz",
      ...
    }@args:
    compressors.compress {
      inherit compressor;
      baseName = "${drv.name}-env";
      stream = streamNixShellImage (removeAttrs args [ "compressor" ]);
    };
}
