# An image whose programs were built for another platform than the one that makes the image: for musl,
# so that one machine can both make and run it.
{ pkgs, testers }:

let
  crossPkgs =
    if pkgs.stdenv.hostPlatform.isAarch64 then
      pkgs.pkgsCross.aarch64-multiplatform-musl
    else
      pkgs.pkgsCross.musl64;
  image = crossPkgs.dockerTools.streamLayeredImage {
    name = "hello-cross";
    tag = "latest";
    contents = [ crossPkgs.hello ];
    config.Cmd = [ "hello" ];
  };
in
testers.runNixOSTest {
  name = "nix-image-cross";
  nodes.machine.virtualisation.docker.enable = true;
  testScript = ''
    machine.wait_for_unit("sockets.target")
    machine.succeed("${image} | docker load")
    assert "Hello, world!" in machine.succeed("docker run --rm hello-cross")
  '';
}
