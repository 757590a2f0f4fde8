# What makes and delivers an image runs on the machine that builds it, even if the image is for
# another platform. What goes into the image is for Linux, even on a Mac.
{ pkgs }:

let
  inherit (pkgs) lib;

  # The derivations that a string or a list of packages refers to.
  references = text: lib.attrNames (builtins.getContext (toString text));

  sets = {
    "this system" = pkgs;
    "another system" =
      if pkgs.stdenv.hostPlatform.isLinux && pkgs.stdenv.hostPlatform.isAarch64 then
        pkgs.pkgsCross.gnu64
      else
        pkgs.pkgsCross.aarch64-multiplatform;
  };

  problems =
    name: set:
    let
      tools = set.dockerTools;
      image = tools.streamLayeredImage {
        name = "platforms";
        tag = "1";
        contents = [
          tools.binSh
          tools.usrBinEnv
        ];
      };
      index = tools.multiArch {
        name = "platforms";
        tag = "1";
        images = [ image ];
      };
      pulled = tools.pullImage {
        imageName = "platforms";
        imageDigest = "sha256:${emptyHash}";
        sha256 = emptyHash;
      };
      asRoot = tools.buildImage {
        name = "platforms";
        tag = "1";
        runAsRoot = ":";
      };
      emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
      script = "${pkgs.runtimeShell}${pkgs.nix-image}${image.conf}";
      expected = {
        "the image's program" = [
          image.buildCommand
          script
        ];
        "the index's push" = [
          index.push.buildCommand
          script
        ];
        streamScript = [
          image.streamScript.buildCommand
          pkgs.nix-image
        ];
        "the conf's planner" = [
          image.conf.nativeBuildInputs
          pkgs.nix-image
        ];
        "what fetches images" = [
          pulled.nativeBuildInputs
          pkgs.nix-image
        ];
        "/bin/sh" = [
          tools.binSh.buildCommand
          set.pkgsLinux.bashInteractive
        ];
        "/usr/bin/env" = [
          tools.usrBinEnv.buildCommand
          set.pkgsLinux.coreutils
        ];
      }
      # Not on a Mac.
      // lib.optionalAttrs (!pkgs.stdenv.buildPlatform.isDarwin) {
        "what runs commands as root" = [
          (asRoot.layer.nativeBuildInputs ++ [ asRoot.layer.commands.text ])
          [
            pkgs.fakeroot
            pkgs.nix-image
            pkgs.proot
            pkgs.util-linux
            pkgs.coreutils
          ]
        ];
      }
      // lib.mapAttrs' (command: program: {
        name = "the image's ${command}";
        value = [
          program.buildCommand
          script
        ];
      }) { inherit (image) inspect load push serve stream write; };
    in
    lib.concatMap (
      what:
      let
        found = map references expected.${what};
      in
      lib.optional (
        lib.head found != lib.last found
      ) "for ${name}, ${what} refers to ${toString (lib.head found)} instead of ${toString (lib.last found)}"
    ) (lib.attrNames expected);
in
lib.concatMap (name: problems name sets.${name}) (lib.attrNames sets)
