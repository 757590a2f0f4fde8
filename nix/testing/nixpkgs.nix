# A stand-in for nixpkgs, made from the host's programs, with which the flake's outputs can be
# evaluated: old versions of Nix cannot evaluate nixpkgs' own expressions, but must be able to evaluate
# ours. Packages that are never built are derivations that would fail.
{
  host,
  # The platform of the packages, and the one that builds them.
  system,
  buildSystem ? system,
  overlays ? [ ],
  # The file that `import` makes this set from.
  path ? ./nixpkgs.nix,
}:

let
  # This set for other systems.
  for =
    systems:
    import ./nixpkgs.nix (
      {
        inherit
          host
          overlays
          path
          ;
      }
      // systems
    );

  nothing = name: derivation {
    inherit name system;
    builder = "not-to-be-built";
  };

  lib = import ./lib.nix // {
    mapAttrs' = f: set: builtins.listToAttrs (lib.mapAttrsToList f set);
    nameValuePair = name: value: { inherit name value; };
    hasInfix = part: text: builtins.length (builtins.split (lib.escapeRegex part) text) > 1;
    escapeRegex = builtins.replaceStrings [ "." "+" ] [ "[.]" "[+]" ];
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    head = builtins.head;
    filter = builtins.filter;
    filterAttrs =
      keep: set: removeAttrs set (builtins.filter (name: !keep name set.${name}) (builtins.attrNames set));
    mapAttrs = builtins.mapAttrs;
    attrNames = builtins.attrNames;
    optionalAttrs = condition: set: if condition then set else { };
    isDerivation = value: value.type or null == "derivation";
    hasSuffix = suffix: text: lib.removeSuffix suffix text != text;
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    fileset = {
      unions = files: files;
      toSource = { root, fileset }: builtins.seq (builtins.all builtins.pathExists fileset) root;
    };
    licenses.mit = { };
    platforms = {
      linux = [ ];
      darwin = [ ];
    };
  };

  programs = import ./. { inherit host system; };

  packages =
    programs
    // {
      inherit lib;
      # Like nixpkgs' splicing, for the programs that run at build time.
      callPackage = lib.callPackageWith (
        final // { inherit (final.buildPackages) fakeroot proot util-linux; }
      );
      inherit path;
      pkgs = final;
      buildPackages = if system == buildSystem then final else for { system = buildSystem; };
      pkgsLinux =
        if final.stdenv.hostPlatform.isLinux then
          final
        else
          for { system = builtins.replaceStrings [ "darwin" ] [ "linux" ] system; };
      pkgsCross = {
        aarch64-multiplatform = for {
          inherit buildSystem;
          system = "aarch64-linux";
        };
        gnu64 = for {
          inherit buildSystem;
          system = "x86_64-linux";
        };
        musl64 = final;
        aarch64-multiplatform-musl = final;
      };
      extend =
        overlay:
        for {
          inherit system buildSystem;
          overlays = overlays ++ [ overlay ];
        };

      # Just enough of nixpkgs' own dockerTools to tell its functions from ours.
      dockerTools = final.callPackage (
        {
          coreutils,
          fakeNss,
          nixosTests,
          storeDir ? builtins.storeDir,
        }:
        {
          inherit fakeNss;
          tests = nixosTests;
          usrBinEnv = nothing "nixpkgs-own-with-${coreutils.name}-in-${baseNameOf storeDir}";
          streamLayeredImage = arguments: nothing "nixpkgs-own";
          buildImage = arguments: nothing "nixpkgs-own";
        }
      ) { };

      # The program that the driver has built already.
      rustPlatform.buildRustPackage =
        attributes: programs.${attributes.pname} // { inherit (attributes) meta; };
      hello = final.runCommand "hello" { } ''
        mkdir -p $out/bin
        printf '#!%s\necho Hello\n' ${final.runtimeShell} > $out/bin/hello
        chmod +x $out/bin/hello
      '';
      # The registry of the machine that runs the tests.
      distribution = final.writeShellScriptBin "registry" ''exec docker-registry "$@"'';
      mkShell = attributes: nothing "shell" // attributes;
      testers.runNixOSTest = test: nothing test.name // { inherit test; };
      nixosTests = lib.genAttrs [
        "docker-tools"
        "docker-tools-nix-shell"
        "docker-tools-overlay"
      ] nothing;
    }
    // lib.genAttrs [
      "cargo"
      "clippy"
      "installShellFiles"
      "nixfmt-tree"
      "podman"
      "python3"
      "python3Minimal"
      "redis"
      "rust-analyzer"
      "rustfmt"
      "skopeo"
    ] nothing;

  final = builtins.foldl' (previous: overlay: previous // overlay final previous) packages overlays;
in
final
