# The Nix files in a directory, by name without the suffix.
lib: directory:
lib.mapAttrs' (file: _: lib.nameValuePair (lib.removeSuffix ".nix" file) (directory + "/${file}")) (
  lib.filterAttrs (file: _: lib.hasSuffix ".nix" file) (builtins.readDir directory)
)
