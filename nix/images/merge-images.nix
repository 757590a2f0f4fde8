# Several images in one archive, as nixpkgs' mergeImages makes it, but member by
# member and without unpacking.
{
  nix-image,
  runCommand,
}:

let
  # Of an image that is a program its conf is enough. Archives have that as well, but
  # how they are compressed counts.
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
