{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
  # The URL that you gave to `nix flake init -t`.
  inputs.nix-image.url = "path:/write/the/url/of/nix-image/here";
  inputs.nix-image.inputs.nixpkgs.follows = "nixpkgs";

  outputs =
    {
      self,
      nixpkgs,
      nix-image,
    }:
    let
      inherit (nixpkgs) lib;
      each = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
    in
    {
      # nix run .#image.load                          loads it into Docker or podman
      # nix run .#image.push -- registry/hello:1      pushes it to a registry
      # nix run .#image.write -- hello.tar            writes it to a file
      # nix run .#image.serve                         serves it to clients that pull
      # nix run .#image.inspect                       shows what it contains
      # nix run .#image.stream | docker load          streams it, like nixpkgs' images
      #
      # To add it to a NixOS machine's engines, use nix-image.nixosModules.default and
      #   virtualisation.nix-image.images.hello = {
      #     image = self.packages.${system}.image;
      #     engines = [ "podman" ];
      #   };
      packages = each (
        system:
        let
          # Packages for Linux, even on a Mac.
          pkgs = nixpkgs.legacyPackages.${system}.pkgsLinux;
        in
        {
          image = nix-image.legacyPackages.${system}.streamLayeredImage {
            name = "hello";
            tag = "latest";
            contents = [ pkgs.hello ];
            config.Cmd = [ "hello" ];
            # What seldom changes is at the bottom, so that an update unpacks little more than
            # your own packages.
            layering = {
              strategy = "ordered";
              own = [ pkgs.hello ];
            };
          };
        }
      );

      # nix run .#image                               does the same as .#image.load
      apps = each (system: {
        image = {
          type = "app";
          program = lib.getExe self.packages.${system}.image.load;
        };
      });
    };
}
