{ vmTest }:

vmTest {
  name = "nix-image-podman";
  engine = "podman";
  node.virtualisation.podman.enable = true;
  ready = ''machine.wait_for_unit("multi-user.target")'';
}
