# Several images in one archive, like nixpkgs' mergeImages, but member by member and without
# unpacking.
{
  nix-image,
  runCommand,
}:

let
  # If the image is a program, its conf is enough. Archives have a conf as well, but are passed
  # themselves, because their compression matters.
  isProgram = image: image ? conf && image.isExe or false && !(image ? stream);
in
images:
runCommand "merge-docker-images"
  {
    images = map (image: if isProgram image then image.conf else image) images;
    nativeBuildInputs = [ nix-image ];
  }
  ''
    nix-image merge --no-cache $images -o $out
  ''
