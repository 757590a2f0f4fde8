# The layer of the image's own files: `contents` as symlinks, changed by extraCommands and
# fakeRootCommands.
#
# The store path of this layer is in the image's history, so an image has nixpkgs' digest only if
# this derivation is nixpkgs' own. That is why its two scripts, including comments and blanks, are
# byte for byte nixpkgs' (MIT licence, © Eelco Dolstra and the Nixpkgs/NixOS contributors). Changing
# one character changes the image ID of every user's images.
{
  lib,
  fakeroot,
  nixDatabase,
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
  # The paths that a Nix database contains in addition to the contents.
  databaseOf,
}:

let
  contentsList = if builtins.isList contents then contents else [ contents ];

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
  extraCommands = lib.optionalString includeNixDB (nixDatabase (contentsList ++ databaseOf)) + extraCommands;
  inherit fakeRootCommands;
  nativeBuildInputs = [ fakeroot ] ++ lib.optional enableFakechroot proot;
  # A tarball rather than a tree, because Nix would normalise the modes and owners that the commands
  # have set. Its checksum is computed here, where it is read anyway.
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
