# The layer of an image whose commands run as root: buildImage's runAsRoot, without
# nixpkgs' virtual machine.
#
# What is root's business is done in a user namespace, or by proot where there is none,
# and fakeroot notes who owns what.
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
    # What the commands see of all this is what nixpkgs' function shows them.
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

    # The kernel may forbid namespaces or what is needed in them, to containers for one.
    if unshare --user --map-root-user --mount --pid --fork --mount-proc $shell -c : 2> /dev/null; then
      export way=namespaces
      unshare --user --map-root-user fakeroot $shell -e ${./root-layer.sh}
    else
      export way=proot
      fakeroot $shell -e ${./root-layer.sh}
    fi
  ''
