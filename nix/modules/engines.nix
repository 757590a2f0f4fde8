# The engines that an image can be for: how to tell that the machine has one, the units that start
# it, and what its program needs to find it.
{
  config,
  pkgs,
}:

let
  inherit (config) services virtualisation;
  inherit (virtualisation.nix-image) store;

  containerdAddress =
    virtualisation.containerd.args.address
      or (virtualisation.containerd.settings.grpc.address or "/run/containerd/containerd.sock");
  dockerSockets = builtins.filter (
    address: builtins.substring 0 1 address == "/"
  ) virtualisation.docker.listenOptions;
in
{
  podman = {
    # Its name in unit.sh, and the names it may have had in an earlier configuration.
    argument = if store.enable then "store" else "podman";
    formerly =
      if !store.enable then
        [ "store" ]
      else if virtualisation.podman.enable then
        [ "podman" ]
      else
        [ ];
    isEnabled = if store.enable then virtualisation.containers.enable else virtualisation.podman.enable;
    enabledBy =
      if store.enable then
        "virtualisation.podman.enable, virtualisation.cri-o.enable or virtualisation.containers.enable"
      else
        "virtualisation.podman.enable";
    units = [ ];
    # The units that run containers at boot.
    before = [
      "crio.service"
      "podman-restart.service"
      "podman.service"
    ];
    path = if virtualisation.podman.enable then [ virtualisation.podman.package ] else [ ];
    environment.NIX_IMAGE_STORE = store.directory;
    mounts = [ store.directory ];
    # The store exists even without an engine.
    isCleaned = store.enable || virtualisation.podman.enable;
  };

  docker = {
    argument = "docker";
    formerly = [ ];
    mounts = [ ];
    isEnabled = virtualisation.docker.enable;
    isCleaned = virtualisation.docker.enable;
    enabledBy = "virtualisation.docker.enable";
    units = [
      "docker.service"
      "docker.socket"
    ];
    before = [ ];
    path = [ virtualisation.docker.package ];
    environment =
      if dockerSockets == [ ] then { } else { DOCKER_HOST = "unix://${builtins.head dockerSockets}"; };
  };

  containerd = {
    argument = "containerd";
    formerly = [ ];
    mounts = [ ];
    isEnabled = virtualisation.containerd.enable;
    isCleaned = virtualisation.containerd.enable;
    enabledBy = "virtualisation.containerd.enable";
    units = [ "containerd.service" ];
    before = [ ];
    path = [ pkgs.containerd ];
    environment.CONTAINERD_ADDRESS = containerdAddress;
  };

  k3s = {
    argument = "k3s";
    formerly = [ ];
    mounts = [ ];
    isEnabled = services.k3s.enable && !services.k3s.disableAgent;
    isCleaned = services.k3s.enable && !services.k3s.disableAgent;
    enabledBy = "services.k3s.enable, and services.k3s.disableAgent not set,";
    units = [ "k3s.service" ];
    before = [ ];
    path = [ pkgs.containerd ];
    environment.CONTAINERD_ADDRESS = "/run/k3s/containerd/containerd.sock";
  };
}
