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
  # With this store, an image's ID is its manifest's digest.
  imageIdIsConfig = false;
  # Docker 26 and older do not report the address of their containerd.
  layersAre = [
    "copied"
    "sent"
  ];
}
