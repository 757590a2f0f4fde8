# Docker with its classic store.
{ vmTest }:

vmTest {
  name = "nix-image-docker";
  engine = "docker";
  node.virtualisation.docker = {
    enable = true;
    storageDriver = "overlay2";
    daemon.settings.features.containerd-snapshotter = false;
  };
  ready = ''machine.wait_for_unit("sockets.target")'';
}
