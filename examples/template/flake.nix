{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
  # The URL that `nix flake init -t` was given.
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
      # nix run .#image.load                          into Docker or podman
      # nix run .#image.push -- registry/hello:1      to a registry
      # nix run .#image.write -- hello.tar            to a file
      # nix run .#image.serve                         as a registry, to be pulled from
      # nix run .#image.inspect                       shows what it is made of
      # nix run .#image.stream | docker load          as nixpkgs' images do it
      #
      # On NixOS, a machine's engines have it with nix-image.nixosModules.default and
      #   virtualisation.nix-image.images.hello = {
      #     image = self.packages.${system}.image;
      #     engines = [ "podman" ];
      #   };
      packages = each (
        system:
        let
          # Packages for Linux, on a Mac as well.
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

      # nix run .#image                               is .#image.load
      apps = each (system: {
        image = {
          type = "app";
          program = lib.getExe self.packages.${system}.image.load;
        };
      });
    };
}
