# As much of nixpkgs as the flake's outputs need to be evaluated, made of the
# host's programs: old versions of Nix cannot read nixpkgs' own expressions, and
# have to be able to read ours. What builds nothing here is a derivation that
# would fail.
{
  host,
  system,
  overlays ? [ ],
}:

let
  nothing = name: derivation {
    inherit name system;
    builder = "not-to-be-built";
  };

  lib = import ./lib.nix // {
    mapAttrs' = f: set: builtins.listToAttrs (lib.mapAttrsToList f set);
    nameValuePair = name: value: { inherit name value; };
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

  packages =
    import ./. { inherit host system; }
    // {
      inherit lib;
      callPackage = lib.callPackageWith final;
      buildPackages = final;
      pkgs = final;
      path = ./nixpkgs.nix;
      extend = overlay: import ./nixpkgs.nix {
        inherit host system;
        overlays = overlays ++ [ overlay ];
      };

      rustPlatform.buildRustPackage = attributes: nothing attributes.pname // attributes;
      mkShell = attributes: nothing "shell" // attributes;
      testers.runNixOSTest = test: nothing test.name // { inherit test; };
      nixosTests = lib.genAttrs [
        "docker-tools"
        "docker-tools-nix-shell"
        "docker-tools-overlay"
      ] nothing;
      pkgsCross = {
        musl64 = final;
        aarch64-multiplatform-musl = final;
      };
    }
    // lib.genAttrs [
      "cargo"
      "clippy"
      "hello"
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
