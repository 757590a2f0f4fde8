# The flake-parts module: makes packages of images, and apps that deliver them. See
# docs/dockertools.md.
{
  perSystem =
    {
      config,
      lib,
      pkgs,
      ...
    }:
    let
      inherit (lib) literalExpression mkOption types;

      inherit (import ./for-pkgs.nix pkgs) streamLayeredImage;
      images = lib.mapAttrs (
        name: arguments: streamLayeredImage ({ inherit name; } // arguments)
      ) config.nix-image.images;

      app =
        command: name: image:
        lib.nameValuePair "${name}-${command}" {
          type = "app";
          program = lib.getExe image.${command};
          meta.description = image.${command}.meta.description;
        };
    in
    {
      _file = ./flake-module.nix;

      options.nix-image.images = mkOption {
        # The function checks the arguments; each can be defined only once.
        type = types.attrsOf (types.attrsOf types.raw);
        default = { };
        example = literalExpression ''
          {
            app = {
              tag = "1";
              config.Cmd = [ (lib.getExe pkgs.hello) ];
            };
          }
        '';
        description = ''
          Images, as the arguments of `streamLayeredImage`. `name` defaults to the
          attribute's name. An image `app` becomes the package `app` and the apps
          `app-load` and `app-push`, which load it into a container engine and push
          it to a registry.
        '';
      };

      config = {
        packages = images;
        apps = lib.concatMapAttrs (
          name: image:
          lib.listToAttrs (
            map (command: app command name image) [
              "load"
              "push"
            ]
          )
        ) images;
      };
    };
}
