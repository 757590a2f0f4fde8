# The layer of the image's own files: `contents` as symlinks, and what
# extraCommands and fakeRootCommands do to them.
#
# The store path of this layer stands in the image's history, so an image has
# nixpkgs' digest only if this derivation is nixpkgs' own. That is why its two
# scripts, comments and blanks included, are nixpkgs' to the byte (MIT licence,
# © Eelco Dolstra and the Nixpkgs/NixOS contributors). Changing one character
# changes the image ID of every user's images.
{
  lib,
  buildPackages,
  closureInfo,
  fakeroot,
  proot,
  symlinkJoin,
}:

{
  baseName,
  contents,
  extraCommands,
  fakeRootCommands,
  enableFakechroot,
  includeNixDB,
}:

let
  contentsList = if builtins.isList contents then contents else [ contents ];

  loadNixDB = ''
    echo "Generating the nix database..."
    echo "Warning: only the database of the deepest Nix layer is loaded."
    echo "         If you want to use nix commands in the container, it would"
    echo "         be better to only have one layer that contains a nix store."

    export NIX_REMOTE=local?root=$PWD
    # A user is required by nix
    # https://github.com/NixOS/nix/blob/9348f9291e5d9e4ba3c4347ea1b235640f54fd79/src/libutil/util.cc#L478
    export USER=nobody
    ${buildPackages.nix}/bin/nix-store --load-db < ${closureInfo { rootPaths = contentsList; }}/registration
    # Reset registration times to make the image reproducible
    ${buildPackages.sqlite}/bin/sqlite3 nix/var/nix/db/db.sqlite "UPDATE ValidPaths SET registrationTime = ''${SOURCE_DATE_EPOCH}"

    mkdir -p nix/var/nix/gcroots/docker/
    for i in ${builtins.concatStringsSep " " contentsList}; do
    ln -s $i nix/var/nix/gcroots/docker/$(basename $i)
    done;
  '';

  binds = toString (
    map (path: "--bind=${path}:${path}!") [
      "/dev/"
      "/proc/"
      "/sys/"
      "${builtins.storeDir}/"
      "$NIX_BUILD_TOP"
      "$out/layer.tar"
    ]
  );

  packAsRoot = ''
    fakeroot bash -e -c '
      if [ -e "$NIX_ATTRS_SH_FILE" ]; then . "$NIX_ATTRS_SH_FILE"; fi
      source $stdenv/setup
      cd old_out
      eval "$fakeRootCommands"
      tar \
        --sort name \
        --numeric-owner --mtime "@$SOURCE_DATE_EPOCH" \
        --hard-dereference \
        -cf $out/layer.tar .
    '
  '';

  packInChroot = ''
    proot -r $PWD/old_out ${binds} --pwd=/ fakeroot bash -e -c '
      if [ -e "$NIX_ATTRS_SH_FILE" ]; then . "$NIX_ATTRS_SH_FILE"; fi
      source $stdenv/setup
      eval "$fakeRootCommands"
      tar \
        --sort name \
        --exclude=./dev \
        --exclude=./proc \
        --exclude=./sys \
        --exclude=.${builtins.storeDir} \
        --exclude=".$NIX_BUILD_TOP" \
        --numeric-owner --mtime "@$SOURCE_DATE_EPOCH" \
        --hard-dereference \
        -cf $out/layer.tar .
    '
  '';
in
symlinkJoin {
  name = "${baseName}-customisation-layer";
  paths = contentsList;
  extraCommands = lib.optionalString includeNixDB loadNixDB + extraCommands;
  inherit fakeRootCommands;
  nativeBuildInputs = [ fakeroot ] ++ lib.optional enableFakechroot proot;
  # A tarball rather than a tree: Nix would normalise the modes and owners that
  # the commands have set. Its checksum is made here, where it is read anyway.
  postBuild = ''
    mv $out old_out
    (cd old_out; eval "$extraCommands" )

    mkdir $out
    ${if enableFakechroot then packInChroot else packAsRoot}
    sha256sum $out/layer.tar \
      | cut -f 1 -d ' ' \
      > $out/checksum
  '';
}
