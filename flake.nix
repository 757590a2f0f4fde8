{
  description = "Container images from Nix store paths, byte for byte as dockerTools makes them, many times faster";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];

      each =
        f:
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

      # The image functions for any nixpkgs, without the overlay: nix-image.lib.forPkgs pkgs
      lib.forPkgs = import ./nix/for-pkgs.nix;

      # For flake-parts: perSystem.nix-image.images makes packages and apps.
      flakeModules.default = ./nix/flake-module.nix;

      # virtualisation.nix-image: images for a machine's container engines.
      nixosModules.default.imports = [ ./nix/modules ];

      packages = each (pkgs: {
        default = pkgs.nix-image;
        inherit (pkgs) nix-image;
      });

      # nixpkgs' dockerTools with our functions: streamLayeredImage, buildLayeredImage
      # and so on. On a Mac they make Linux images, and their programs run on the Mac.
      legacyPackages = each (pkgs: pkgs.dockerTools);

      apps = each (
        pkgs:
        lib.genAttrs [ "default" "nix-image" "stream-layered-image" ] (name: {
          type = "app";
          program = "${pkgs.nix-image}/bin/${if name == "default" then "nix-image" else name}";
          meta.description = pkgs.nix-image.meta.description;
        })
      );

      checks = each (
        pkgs:
        import ./nix/checks.nix {
          inherit pkgs;
          packages = self.packages.${pkgs.stdenv.hostPlatform.system};
          devShells = self.devShells.${pkgs.stdenv.hostPlatform.system};
        }
      );

      devShells = each (pkgs: {
        default = pkgs.callPackage ./nix/dev-shell.nix { };
      });

      formatter = each (pkgs: pkgs.nixfmt-tree);

      templates.default = {
        path = ./examples/template;
        description = "A container image of a program, made with nix-image";
        welcomeText = ''
          Write the URL that you gave to `nix flake init -t` into flake.nix, for instance with

              sed -i 's|path:/write/the/url/of/nix-image/here|URL|' flake.nix

          where an `&` in the URL is written `\&`.

          Then `nix run .#image` loads the image into Docker or podman. The comments in
          flake.nix list the other commands.
        '';
      };
    };
}
