# NixOS: images that are in the machine's container engines as packages are in
# its profile. See docs/nixos.md.
{
  imports = [
    ./assertions.nix
    ./load.nix
    ./oci-containers.nix
    ./options.nix
    ./store.nix
  ];
}
