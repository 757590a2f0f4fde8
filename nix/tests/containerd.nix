# Only containerd, as on the nodes of a Kubernetes cluster.
{ vmTest }:

vmTest {
  name = "nix-image-containerd";
  engine = "ctr";
  scripts = [
    "containerd"
    "load"
    "broken-loads"
    "restart"
  ];
  node.virtualisation.containerd.enable = true;
  ready = ''machine.wait_for_unit("containerd.service")'';
  unpacks = [ ];
  layersAre = [ "copied" ];
}
