# Machines with images of virtualisation.nix-image: at boot, after a switch, and after a switch back.
# The units themselves are tested in tests/scripts, by the other drivers as well.
{
  pkgs,
  lib,
  vmTest,
}:

let
  inherit (pkgs.callPackage ../testing/images.nix { }) images;

  configuration = image: {
    virtualisation.nix-image.images.app = {
      inherit image;
      engines = [
        "docker"
        "podman"
      ];
    };
    virtualisation.oci-containers.containers.named = {
      imageStream = image;
      # The container ends at once, and would be restarted again and again.
      serviceName = "named";
      autoStart = false;
    };
  };
in
vmTest {
  name = "nix-image-nixos-module";
  engine = "docker";
  scripts = [ "nixos-module" ];
  node = {
    imports = [
      ../modules
      (configuration (lib.mkDefault images.hello))
    ];
    virtualisation.docker.enable = true;
    virtualisation.podman.enable = true;
    virtualisation.oci-containers.backend = "podman";
    system.switch.enable = true;
    users.users.somebody.isNormalUser = true;
    specialisation.changed.configuration = configuration images.generation-1;
  };
  ready = ''
    machine.wait_for_unit("multi-user.target")

    def expect_image(name, greeter):
        for run in [
            f"docker run --rm --network none {name}",
            f"podman run --rm --network none --pull never {name}",
            f"su - somebody -c 'podman run --rm --network none --pull never {name}'",
        ]:
            said = machine.succeed(run)
            assert f"Hello from {greeter}!" in said, said

    def switch(system):
        machine.succeed(f"{system}/bin/switch-to-configuration test")

    with subtest("At boot the image is in docker and podman, and for every user"):
        expect_image("hello:latest", "hello")

    with subtest("A container starts after it, without a load"):
        machine.succeed("systemctl start --no-block named.service")
        machine.wait_until_succeeds("journalctl --unit named.service | grep 'Hello from hello!'")
        machine.succeed("systemctl stop named.service")

    with subtest("A switch brings the next image and removes the former"):
        switch("/run/booted-system/specialisation/changed")
        expect_image("generation:latest", "generation-1")
        machine.fail("docker image inspect hello:latest")
        machine.fail("podman image exists hello:latest")

    with subtest("A switch back does the reverse"):
        switch("/run/booted-system")
        expect_image("hello:latest", "hello")
        machine.fail("docker image inspect generation:latest")
        machine.fail("podman image exists generation:latest")

    with subtest("The images outlive a restart"):
        machine.shutdown()
        machine.start()
        machine.wait_for_unit("multi-user.target")
        expect_image("hello:latest", "hello")
  '';
}
