{ vmTest }:

vmTest {
  name = "nix-image-podman";
  engine = "podman";
  scripts = [
    "layered"
    "one-layer"
    "archives"
    "nix-shell"
    "load"
    "nixos-image"
    "broken-loads"
    "restart"
  ];
  node.virtualisation.podman.enable = true;
  ready = ''machine.wait_for_unit("multi-user.target")'';
  layersAre = [ "copied" ];
}
