# For use without flakes: `nix-build`, or `import ./. { inherit pkgs; }`.
{
  pkgs ?
    let
      inherit ((builtins.fromJSON (builtins.readFile ./flake.lock)).nodes.nixpkgs) locked;
    in
    import (fetchTarball {
      url = "https://github.com/${locked.owner}/${locked.repo}/archive/${locked.rev}.tar.gz";
      sha256 = locked.narHash;
    }) { },
}:

let
  extended = pkgs.extend (import ./nix/overlay.nix);
in
extended.nix-image
// {
  inherit (extended) nix-image;
  # The image functions, and nixpkgs' own for everything else.
  inherit (extended) dockerTools;
}
