# dockerTools' image functions, built on nix-image: same arguments, same images.
#
# Everything taken from nixpkgs is an argument here, under nixpkgs' name, so that dockerTools'
# `override` works, and the same expressions can be built from nixpkgs, from an overlay and
# from the host's programs (../testing).
{
  lib,
  stdenv,
  storeDir ? builtins.storeDir,
  # nixpkgs' own buildImage, for runAsRootInVM.
  buildImageInVM ? null,
  # Evaluates NixOS, like nixos/lib/eval-config.nix.
  evalNixos ? null,

  # Programs that run where images are made, at build time and for delivery.
  buildPackages,
  closureInfo,
  fakeroot,
  nix-image,
  pigz,
  proot,
  runCommand,
  runtimeShell,
  symlinkJoin,
  util-linux,
  writeShellScriptBin,
  writeText,
  zstd,

  # What goes into images.
  bashInteractive,
  cacert,
  coreutils,
  fakeNss,
}:

let
  check = import ./check.nix { inherit lib stdenv; };
  compressors = import ./compressors.nix { inherit pigz runCommand zstd; };
  credentials = import ./credentials.nix { inherit lib; };
  helpers = import ./helpers.nix {
    inherit
      bashInteractive
      cacert
      coreutils
      runCommand
      ;
  };
  nixDatabase = import ./nix-database.nix { inherit buildPackages closureInfo; };
  customisationLayer = import ./customisation-layer.nix {
    inherit
      lib
      fakeroot
      nixDatabase
      proot
      symlinkJoin
      ;
  };
  program = import ./program.nix { inherit nix-image runCommand runtimeShell; };
  rootLayer = import ./root-layer.nix {
    inherit
      lib
      buildPackages
      fakeroot
      nix-image
      proot
      runCommand
      runtimeShell
      util-linux
      writeText
      ;
  };
  buildImage = import ./build-image.nix {
    inherit
      lib
      buildImageInVM
      check
      compressors
      nix-image
      nixDatabase
      program
      rootLayer
      runCommand
      stdenv
      storeDir
      writeText
      ;
  };

  streamLayeredImage = import ./stream-layered-image.nix {
    layersOf = import ./layers.nix { inherit lib; };
    inherit
      lib
      check
      customisationLayer
      nix-image
      program
      runCommand
      runtimeShell
      stdenv
      storeDir
      writeText
      ;
  };
  buildLayeredImage = import ./build-layered-image.nix {
    inherit lib compressors streamLayeredImage;
  };
  buildNixosImage = import ./build-nixos-image.nix {
    inherit
      lib
      check
      evalNixos
      streamLayeredImage
      ;
  };
  multiArch = import ./multi-arch.nix { inherit lib check program; };
  streamNixShellImage = import ./nix-shell-image.nix {
    inherit
      lib
      bashInteractive
      cacert
      fakeNss
      helpers
      storeDir
      streamLayeredImage
      writeShellScriptBin
      writeText
      ;
  };
  exportImage = import ./export-image.nix {
    inherit
      lib
      nix-image
      runCommand
      stdenv
      ;
  };
  mergeImages = import ./merge-images.nix { inherit nix-image runCommand; };
  pullImage = import ./pull-image.nix {
    inherit
      lib
      credentials
      nix-image
      runCommand
      stdenv
      ;
    inherit (buildPackages) cacert;
  };
  pullImageByDigest = import ./pull-image-by-digest.nix {
    inherit
      lib
      credentials
      nix-image
      runCommand
      writeText
      ;
    inherit (buildPackages) cacert;
  };
in
helpers
// {
  inherit
    exportImage
    fakeNss
    buildImage
    buildNixosImage
    mergeImages
    multiArch
    streamLayeredImage
    buildLayeredImage
    streamNixShellImage
    pullImage
    pullImageByDigest
    ;

  buildImageWithNixDb = args: buildImage (args // { includeNixDB = true; });

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
