# The options of the module.
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
          An image made by `streamLayeredImage` or `buildLayeredImage`, of either
          nix-image or nixpkgs.
        '';
      };

      engines = mkOption {
        type = types.listOf (types.enum (lib.attrNames engines));
        example = [
          "podman"
          "docker"
        ];
        description = ''
          The engines that get the image. Images for `podman` are also available to
          buildah and CRI-O, and to all users of the machine, unless
          {option}`virtualisation.nix-image.store.enable` is off.
        '';
      };

      namespace = mkOption {
        type = types.strMatching "[A-Za-z0-9]+([._-][A-Za-z0-9]+)*";
        default = "default";
        example = "k8s.io";
        description = ''
          containerd's namespace for the image. Kubernetes uses `k8s.io`; for `k3s`
          the namespace is always that one.
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
      defaultText = literalExpression "the nix-image of this module";
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
        Images for the machine's container engines. They are added by a switch and
        at boot, and removed when the configuration no longer has them. The
        attribute names are used for units, such as
        `nix-image-docker-app.service`; engines see the image's own name and tag.
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
          it is on the same file system. Nothing but this module may write there.
          If you change this, delete the old directory by hand.
        '';
      };
    };
  };
}
