# A module with what a NixOS system needs in an engine's container.
{ lib, ... }:
{
  boot.isContainer = true;

  # The engine creates these files and mounts them.
  environment.etc.hosts.enable = lib.mkDefault false;
  environment.etc.hostname.enable = lib.mkDefault false;
  networking.resolvconf.enable = lib.mkDefault false;
  # The engine also sets up the network, and controls what may reach it.
  networking.useDHCP = lib.mkDefault false;
  networking.firewall.enable = lib.mkDefault false;
  # A socket unit would start before the network.
  services.openssh.startWhenNeeded = lib.mkDefault false;
}
