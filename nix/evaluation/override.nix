# With the overlay, dockerTools has all of nixpkgs' attributes, some replaced by ours. `override`
# preserves that and reaches both sides.
{ pkgs }:

let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.buildPlatform) isDarwin;

  theirs = (import pkgs.path { inherit (pkgs.stdenv.hostPlatform) system; }).dockerTools;
  image = tools: tools.streamLayeredImage { name = "override"; };

  asRoot =
    tools: arguments:
    tools.buildImage (
      {
        name = "override";
        tag = "latest";
        runAsRoot = "true";
      }
      // arguments
    );

  # What is overridden, and where the effect must show.
  cases = {
    "nothing" = {
      arguments = { };
      # Images to be made in a virtual machine are nixpkgs' own.
      shows =
        tools:
        (asRoot tools { runAsRootInVM = true; }).drvPath == (asRoot theirs { }).drvPath
        && (isDarwin || (asRoot tools { }).drvPath != (asRoot theirs { }).drvPath);
    };
    "storeDir" = {
      arguments.storeDir = "/elsewhere/store";
      shows = tools: lib.hasInfix "/elsewhere/store" (image tools).conf.buildCommand;
    };
    "nix-image" = {
      arguments.nix-image = "/other-nix-image";
      shows =
        tools:
        builtins.all (program: lib.hasInfix "/other-nix-image/bin" program.buildCommand) [
          (image tools)
          (image tools).push
          (tools.multiArch {
            name = "override";
            images = [ (image tools) ];
          })
        ];
    };
    "an argument of both" = {
      arguments.fakeNss = "/other-nss";
      shows = tools: tools.fakeNss == "/other-nss";
    };
    "nixpkgs' argument" = {
      arguments.nixosTests = lib.genAttrs [
        "docker-tools"
        "docker-tools-nix-shell"
        "docker-tools-overlay"
      ] (name: "other ${name}");
      shows = tools: tools.tests.docker-tools == "other docker-tools";
    };
    "by a function" = {
      arguments = old: { coreutils = "${old.coreutils}/other"; };
      shows = tools: lib.hasInfix "/other/bin/env" tools.usrBinEnv.buildCommand;
    };
  };

  problems =
    what:
    let
      once = pkgs.dockerTools.override cases.${what}.arguments;
      twice = once.override { };
      lost = tools: lib.filter (name: !tools ? ${name}) (lib.attrNames theirs);
    in
    lib.concatMap (
      tools:
      map (name: "overriding ${what} loses ${name}") (lost tools)
      ++ lib.optional (!cases.${what}.shows tools) "overriding ${what} has no effect"
      ++ lib.optional (!image tools ? load) "overriding ${what} brings nixpkgs' functions back"
    ) [ once twice ];
in
lib.concatMap problems (lib.attrNames cases)
