# nix-image itself: its main program, and the drop-in for nixpkgs' script.
{
  lib,
  buildPackages,
  installShellFiles,
  rustPlatform,
  stdenv,
}:

let
  manifest = lib.importTOML ../Cargo.toml;

  # The program that writes manual pages and completions has to run on the build platform.
  program =
    if stdenv.buildPlatform.canExecute stdenv.hostPlatform then
      "$out"
    else
      buildPackages.callPackage ./package.nix { };
in
rustPlatform.buildRustPackage {
  pname = manifest.package.name;
  inherit (manifest.workspace.package) version;

  # Only the files that the build reads, so that a change in the docs rebuilds no image.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../crates
      # Part of the library's documentation.
      ../examples/digest.rs
      ../examples/push.rs
      ../examples/stream.rs
      ../src
      # A member of the workspace.
      ../tests/attribute
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  # The tests need Python, Nix and engines: `make test` and nix/tests run them.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];

  postInstall = ''
    ${program}/bin/nix-image pages man man
    installManPage man/*
    for shell in bash zsh fish; do
      ${program}/bin/nix-image completions $shell > nix-image.$shell
    done
    installShellCompletion nix-image.{bash,zsh,fish}
  '';

  meta = {
    inherit (manifest.package) description;
    inherit (manifest.workspace.package) homepage;
    license = lib.licenses.mit;
    mainProgram = "nix-image";
    platforms = lib.platforms.linux ++ lib.platforms.darwin;
  };
}
