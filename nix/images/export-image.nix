# The root file system of an image as one tar file: nixpkgs' exportImage, without
# a virtual machine.
{
  lib,
  nix-image,
  runCommand,
  stdenv,
}:

{
  fromImage,
  name ? fromImage.name,
  fromImageName ? null,
  fromImageTag ? null,
  # The size of nixpkgs' disk, in MiB; no effect here, where there is no disk.
  diskSize ? 1024,
}:
let
  # If the image has a conf, no archive has to be made of it.
  image = if fromImage ? conf && fromImage ? streamScript then fromImage.conf else fromImage;
  chosen =
    if fromImageName != null then
      "#${fromImageName}:${if fromImageTag == null then "latest" else fromImageTag}"
    else
      lib.optionalString (fromImageTag != null) "#${fromImageTag}";
in
runCommand name { nativeBuildInputs = [ nix-image ]; } ''
  nix-image export ${lib.escapeShellArg "${image}${chosen}"} \
    --architecture ${stdenv.hostPlatform.go.GOARCH} \
    --mtime "''${SOURCE_DATE_EPOCH:-315532800}" \
    -o $out
''
