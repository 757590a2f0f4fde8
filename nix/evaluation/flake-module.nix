# The flake-parts module: its packages are the images made by streamLayeredImage, and its apps run
# their programs. flake-parts itself is not needed: `perSystem` is a separate module for each
# system, with `pkgs` among its arguments.
{ pkgs }:

let
  inherit (pkgs) lib;
  inherit (lib) mkOption types;

  # The options of flake-parts that the module defines.
  top.options.perSystem = mkOption { type = types.deferredModule; };
  outputs.options = {
    packages = mkOption { type = types.lazyAttrsOf types.package; };
    apps = mkOption {
      type = types.lazyAttrsOf (
        types.submodule {
          options = {
            type = mkOption { type = types.enum [ "app" ]; };
            program = mkOption { type = types.str; };
            meta = mkOption { type = types.lazyAttrsOf types.raw; };
          };
        }
      );
    };
  };
  flake =
    modules:
    let
      whole = lib.evalModules {
        modules = [
          top
          ../flake-module.nix
        ]
        ++ modules;
      };
      # Unchanged nixpkgs, without the overlay.
      args.pkgs = import pkgs.path { inherit (pkgs.stdenv.hostPlatform) system; };
    in
    (lib.evalModules {
      modules = [
        outputs
        whole.config.perSystem
        { _module = { inherit args; }; }
      ];
    }).config;

  made = flake [
    {
      perSystem =
        { config, ... }:
        {
          nix-image.images = {
            app.tag = "1";
            other = {
              name = "registry.example.org/other";
              fromImage = config.packages.app;
            };
          };
          # There are other packages in addition to the images.
          packages.hello = pkgs.hello;
        };
    }
    # Several modules may set the arguments of one image.
    { perSystem.nix-image.images.app.config.Cmd = [ "app" ]; }
  ];

  app = pkgs.dockerTools.streamLayeredImage {
    name = "app";
    tag = "1";
    config.Cmd = [ "app" ];
  };
  other = pkgs.dockerTools.streamLayeredImage {
    name = "registry.example.org/other";
    fromImage = app;
  };

  wrong = flake [ { perSystem.nix-image.images.app.contens = [ ]; } ];

  expect =
    what: expected: found:
    lib.optional (expected != found) "${what}: expected ${toString expected}, found ${toString found}";
in
expect "the packages" [ "app" "hello" "other" ] (lib.attrNames made.packages)
++ expect "the package app" app.drvPath made.packages.app.drvPath
++ expect "the package other" other.drvPath made.packages.other.drvPath
++ expect "the apps" [ "app-load" "app-push" "other-load" "other-push" ] (lib.attrNames made.apps)
++ expect "what app-load runs" "${app.load}/bin/load-app" made.apps.app-load.program
++ expect "what other-push runs" "${other.push}/bin/push-other" made.apps.other-push.program
++ expect "without images, the packages" [ ] (lib.attrNames (flake [ ]).packages)
++
  expect "whether a wrong argument evaluates" false
    (builtins.tryEval wrong.packages.app.drvPath).success
