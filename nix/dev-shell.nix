{
  mkShell,
  cargo,
  clippy,
  nix-image,
  podman,
  python3,
  rust-analyzer,
  rustfmt,
  skopeo,
}:

mkShell {
  inputsFrom = [ nix-image ];
  packages = [
    cargo
    clippy
    podman
    python3
    rust-analyzer
    rustfmt
    skopeo
  ];
}
