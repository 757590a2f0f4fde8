# The commands that put a Nix database of the image's contents into its root.
#
# They are part of the customisation layer's derivation, so they are byte for byte nixpkgs', for the
# reason given in customisation-layer.nix.
{
  buildPackages,
  closureInfo,
}:

contents:
''
  echo "Generating the nix database..."
  echo "Warning: only the database of the deepest Nix layer is loaded."
  echo "         If you want to use nix commands in the container, it would"
  echo "         be better to only have one layer that contains a nix store."

  export NIX_REMOTE=local?root=$PWD
  # A user is required by nix
  # https://github.com/NixOS/nix/blob/9348f9291e5d9e4ba3c4347ea1b235640f54fd79/src/libutil/util.cc#L478
  export USER=nobody
  ${buildPackages.nix}/bin/nix-store --load-db < ${closureInfo { rootPaths = contents; }}/registration
  # Reset registration times to make the image reproducible
  ${buildPackages.sqlite}/bin/sqlite3 nix/var/nix/db/db.sqlite "UPDATE ValidPaths SET registrationTime = ''${SOURCE_DATE_EPOCH}"

  mkdir -p nix/var/nix/gcroots/docker/
  for i in ${builtins.concatStringsSep " " contents}; do
  ln -s $i nix/var/nix/gcroots/docker/$(basename $i)
  done;
''
