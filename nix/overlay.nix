# dockerTools' layered images by nix-image. What is not here yet, such as
# buildImage, pullImage, mergeImages and exportImage, stays nixpkgs'.
final: prev: {
  nix-image = final.callPackage ./package.nix { };
  dockerTools = prev.dockerTools // final.callPackage ./images { };
}
