# The NixOS module: images in the machine's container engines, declared like packages. See
# docs/nixos.md.
{
  imports = [
    ./assertions.nix
    ./load.nix
    ./oci-containers.nix
    ./options.nix
    ./store.nix
  ];
}
