# What a NixOS system needs in a container of an engine, as a module.
{ lib, ... }:
{
  boot.isContainer = true;

  # The engine makes these files, and has them mounted.
  environment.etc.hosts.enable = lib.mkDefault false;
  environment.etc.hostname.enable = lib.mkDefault false;
  networking.resolvconf.enable = lib.mkDefault false;
  # It makes the network, too, and says what may reach it.
  networking.useDHCP = lib.mkDefault false;
  networking.firewall.enable = lib.mkDefault false;
  # A socket of systemd's would be there before the network.
  services.openssh.startWhenNeeded = lib.mkDefault false;
}
