# The image of `make demo`, written as for nixpkgs' dockerTools. Here, `pkgs` is
# the small set of this machine's programs; with nixpkgs it is `import <nixpkgs>`
# and the overlay of this project.
{
  host ? ../../target/demo/host,
  pkgs ? import ../../nix/testing { inherit host; },
}:

let
  greet = pkgs.runCommand "greet" { } ''
    mkdir -p $out/bin
    cat > $out/bin/greet <<'EOF'
    #!${pkgs.runtimeShell}
    echo "Hello from a container of $(ls /nix/store | wc -l) store paths!"
    echo "I am $(whoami), and the owner of /data is $(stat -c %u /data)."
    EOF
    chmod +x $out/bin/greet
  '';
in
pkgs.dockerTools.streamLayeredImage {
  name = "nix-image-demo";
  tag = "latest";
  contents = [
    greet
    pkgs.bash
    pkgs.coreutils
    pkgs.nix
    pkgs.sqlite
    pkgs.dockerTools.fakeNss
  ];
  fakeRootCommands = ''
    mkdir data
    chown 1000 data
  '';
  maxLayers = 20;
  config.Cmd = [ "greet" ];
}
