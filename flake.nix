{
  description = "Container images from Nix store paths, byte for byte as dockerTools makes them, many times as fast";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      # Images are Linux'; delivering them is not.
      linux = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      darwin = [
        "x86_64-darwin"
        "aarch64-darwin"
      ];

      each =
        systems: f:
        lib.genAttrs systems (
          system:
          f (
            import nixpkgs {
              inherit system;
              overlays = [ self.overlays.default ];
            }
          )
        );
    in
    {
      overlays.default = import ./nix/overlay.nix;

      packages = each (linux ++ darwin) (pkgs: {
        default = pkgs.nix-image;
        inherit (pkgs) nix-image;
      });

      # The image functions: streamLayeredImage, buildLayeredImage and so on.
      legacyPackages = each linux (pkgs: pkgs.callPackage ./nix/images { });

      apps = each (linux ++ darwin) (
        pkgs:
        lib.genAttrs [ "default" "nix-image" "stream-layered-image" ] (name: {
          type = "app";
          program = "${pkgs.nix-image}/bin/${if name == "default" then "nix-image" else name}";
          meta.description = pkgs.nix-image.meta.description;
        })
      );

      checks = each (linux ++ darwin) (
        pkgs:
        import ./nix/checks.nix {
          inherit pkgs;
          packages = self.packages.${pkgs.stdenv.hostPlatform.system};
          devShells = self.devShells.${pkgs.stdenv.hostPlatform.system};
        }
      );

      devShells = each (linux ++ darwin) (pkgs: {
        default = pkgs.callPackage ./nix/dev-shell.nix { };
      });

      formatter = each (linux ++ darwin) (pkgs: pkgs.nixfmt-tree);

      templates.default = {
        path = ./examples/template;
        description = "A container image of a program, by nix-image";
      };
    };
}
