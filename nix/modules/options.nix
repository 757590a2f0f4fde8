# What an administrator writes.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) literalExpression mkOption types;

  engines = import ./engines.nix { inherit config pkgs; };

  image = {
    options = {
      image = mkOption {
        type = types.package;
        example = literalExpression ''
          nix-image.legacyPackages.''${system}.streamLayeredImage {
            name = "app";
            tag = "1";
            config.Cmd = [ (lib.getExe pkgs.app) ];
          }
        '';
        description = ''
          The image, as `streamLayeredImage` or `buildLayeredImage` make it, be it
          nix-image's or nixpkgs'.
        '';
      };

      engines = mkOption {
        type = types.listOf (types.enum (lib.attrNames engines));
        example = [
          "podman"
          "docker"
        ];
        description = ''
          The engines that are to have the image. What is for `podman` is for
          buildah and CRI-O as well, and for all users of the machine, unless
          {option}`virtualisation.nix-image.store.enable` is off.
        '';
      };

      namespace = mkOption {
        type = types.strMatching "[A-Za-z0-9]+([._-][A-Za-z0-9]+)*";
        default = "default";
        example = "k8s.io";
        description = ''
          containerd's namespace for the image. Kubernetes looks into `k8s.io`. For
          `k3s` it is always that one.
        '';
      };
    };
  };
in
{
  options.virtualisation.nix-image = {
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ../package.nix { };
      defaultText = literalExpression "the nix-image that the module belongs to";
      description = "The nix-image that loads the images.";
    };

    images = mkOption {
      type = types.attrsOf (types.submodule image);
      default = { };
      example = literalExpression ''
        {
          app = {
            image = pkgs.dockerTools.streamLayeredImage { name = "app"; tag = "1"; };
            engines = [ "podman" ];
          };
        }
      '';
      description = ''
        Images that the machine's container engines have as long as its
        configuration has them: they are added by a switch and at boot, and removed
        with the generation. The names are those of the units, such as
        `nix-image-docker-app.service`; the engines see the image's own name and tag.
      '';
    };

    store = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether images for `podman` are put into an additional image store, from
          which podman, buildah and CRI-O run them for every user of the machine,
          without a load. Otherwise they are loaded into the storage of root's
          podman.
        '';
      };

      directory = mkOption {
        type = types.path;
        default = "/var/lib/nix-image/store";
        description = ''
          The additional image store. Files of the Nix store can be linked into it if
          it is on the same file system. Nobody but this module is to write there.
          Another directory leaves the former one behind, to be deleted by hand.
        '';
      };
    };
  };
}
