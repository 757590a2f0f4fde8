# podman of an ordinary user, who has subordinate IDs.
{ vmTest }:

let
  user = "tester";
in
vmTest {
  name = "nix-image-rootless-podman";
  engine = "podman";
  inherit user;
  scripts = [ "load" ];
  node = {
    virtualisation.podman.enable = true;
    users.users.${user}.isNormalUser = true;
  };
  ready = ''machine.wait_for_unit("multi-user.target")'';
  layersAre = [ "copied" ];
}
