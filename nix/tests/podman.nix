{ vmTest }:

vmTest {
  name = "nix-image-podman";
  engine = "podman";
  scripts = [
    "layered"
    "nix-shell"
  ];
  node.virtualisation.podman.enable = true;
  ready = ''machine.wait_for_unit("multi-user.target")'';
}
