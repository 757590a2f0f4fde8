# The layer of an image whose commands run as root: buildImage's runAsRoot, without
# nixpkgs' virtual machine.
#
# Root's operations are done in a user namespace, or by proot if there is none, and fakeroot records
# the owners.
{
  lib,
  buildPackages,
  fakeroot,
  nix-image,
  proot,
  runCommand,
  runtimeShell,
  util-linux,
  writeText,
}:

{
  baseName,
  contents,
  description,
  extraCommands,
  fromImage,
  keepContentsDirlinks,
  name,
  runAsRoot,
}:

runCommand "docker-layer-${baseName}"
  {
    inherit contents extraCommands;
    baseJson = description;
    fromImage = lib.optionalString (fromImage != null) "${fromImage}";
    keepDirlinks = lib.optionalString keepContentsDirlinks "--keep-dirlinks";
    # Their environment is the same as with nixpkgs' function.
    commands = writeText "run-as-root.sh" ''
      set -e
      export PATH=${buildPackages.coreutils}/bin:/bin
      ${runAsRoot}
    '';
    nativeBuildInputs = [
      fakeroot
      nix-image
      proot
      util-linux
    ];
  }
  ''
    export storeDir=${builtins.storeDir} shell=${runtimeShell} image=${lib.escapeShellArg name}

    # The kernel may forbid namespaces, or what is needed in them, for instance in containers.
    if unshare --user --map-root-user --mount --pid --fork --mount-proc $shell -c : 2> /dev/null; then
      export way=namespaces
      unshare --user --map-root-user fakeroot $shell -e ${./root-layer.sh}
    else
      export way=proot
      fakeroot $shell -e ${./root-layer.sh}
    fi
  ''
