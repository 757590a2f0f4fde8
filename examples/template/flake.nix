{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
  # `nix registry add nix-image URL` says where it is; or write the URL here.
  inputs.nix-image.url = "flake:nix-image";
  inputs.nix-image.inputs.nixpkgs.follows = "nixpkgs";

  outputs =
    { nixpkgs, nix-image, ... }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
    in
    {
      # nix run .#image.load                          into Docker or podman
      # nix run .#image.push -- registry/hello:1      to a registry
      # $(nix build --print-out-paths .#image) | docker load
      packages = nixpkgs.lib.genAttrs systems (
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
        in
        {
          image = nix-image.legacyPackages.${system}.streamLayeredImage {
            name = "hello";
            tag = "latest";
            contents = [ pkgs.hello ];
            config.Cmd = [ "hello" ];
          };
        }
      );
    };
}
