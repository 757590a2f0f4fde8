# Docker with containerd's image store, the default of new installations.
{ vmTest }:

vmTest {
  name = "nix-image-docker-containerd-store";
  engine = "docker";
  node.virtualisation.docker = {
    enable = true;
    daemon.settings.features.containerd-snapshotter = true;
  };
  ready = ''machine.wait_for_unit("sockets.target")'';
  # There, an image's ID is its manifest's digest.
  imageIdIsConfig = false;
  # Docker 26 and older do not say where their containerd is.
  layersAre = [
    "copied"
    "sent"
  ];
}
