# The machines of the VM tests are as the tests need them, and nothing is skipped: neither the checks
# of the scripts nor a part of them.
{ pkgs, vmTests }:

let
  inherit (pkgs) lib;

  ofImages = [
    "layered"
    "one-layer"
    "archives"
    "nix-shell"
    "load"
    "broken-loads"
    "restart"
  ];

  # The tests made from tests/scripts.
  expected = {
    containerd = {
      docker = false;
      podman = false;
      containerd = true;
      scripts = [
        "containerd"
        "load"
        "broken-loads"
        "restart"
      ];
      unit = machine: machine.systemd.services.containerd.wantedBy;
    };
    docker = {
      docker = true;
      podman = false;
      storageDriver = "overlay2";
      containerdStore = false;
      unit = machine: machine.systemd.sockets.docker.wantedBy;
    };
    docker-containerd-store = {
      docker = true;
      podman = false;
      storageDriver = null;
      containerdStore = true;
      unit = machine: machine.systemd.sockets.docker.wantedBy;
    };
    nixos-module = {
      docker = true;
      podman = true;
      scripts = [ "nixos-module" ];
      unit = machine: machine.systemd.services.nix-image-docker-app.wantedBy;
    };
    podman = {
      docker = false;
      podman = true;
      containersStorage = "overlay";
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
    };
    rootless-podman = {
      docker = false;
      podman = true;
      containersStorage = "overlay";
      scripts = [ "load" ];
      user = "tester";
    };
  };

  problems =
    name: test:
    let
      inherit (test.config) testScriptString;
      wanted = expected.${name};
      machine = test.config.nodes.machine;
      inherit (machine) virtualisation;
      docker = virtualisation.docker.daemon.settings;
      machineHas = package: lib.elem package machine.environment.systemPackages;
      is = what: actual: expect: {
        ok = actual == expect;
        text = "${what} is ${builtins.toJSON actual} and not ${builtins.toJSON expect}";
      };
      has = what: ok: {
        inherit ok;
        text = "it lacks ${what}";
      };
      facts = [
        (is "requiredSystemFeatures" test.config.rawTestDerivation.requiredSystemFeatures [
          "nixos-test"
          "kvm"
        ])
        (is "skipTypeCheck" test.config.skipTypeCheck false)
        (is "skipLint" test.config.skipLint false)
        (is "globalTimeout" test.config.globalTimeout 3600)
        (is "memorySize" virtualisation.memorySize 2048)
        (is "diskSize" virtualisation.diskSize 8192)
        (is "docker.enable" virtualisation.docker.enable wanted.docker)
        (is "podman.enable" virtualisation.podman.enable wanted.podman)
        (has "nix-image" (machineHas pkgs.nix-image))
        (has "skopeo" (machineHas pkgs.skopeo))
        (has "zstd" (machineHas pkgs.zstd))
      ]
      ++ lib.optional (wanted ? containerd) (
        is "containerd.enable" virtualisation.containerd.enable wanted.containerd
      )
      ++ lib.optionals (wanted ? storageDriver) [
        (is "docker's storageDriver" virtualisation.docker.storageDriver wanted.storageDriver)
        (is "docker's containerd-snapshotter" docker.features.containerd-snapshotter
          wanted.containerdStore
        )
      ]
      # Older versions accept the setting, but do not use containerd's store.
      ++ lib.optional wanted.docker (
        has "docker 28 or later" (lib.versionAtLeast virtualisation.docker.package.version "28")
      )
      ++ lib.optional (wanted ? containersStorage) (
        is "podman's storage" virtualisation.containers.storage.settings.storage.driver
          wanted.containersStorage
      )
      ++ lib.optional (wanted ? user) (
        has "subordinate IDs for ${wanted.user}" machine.users.users.${wanted.user}.autoSubUidGidRange
      )
      ++ lib.optional (wanted ? unit) (has "a unit that starts the engine" (wanted.unit machine != [ ]))
      ++ map (
        script:
        has "tests/scripts/${script}.py" (
          lib.hasInfix (builtins.readFile (../../tests/scripts + "/${script}.py")) testScriptString
        )
      ) ([ "common" ] ++ wanted.scripts or ofImages);
    in
    map (fact: "nix/tests/${name}.nix: ${fact.text}") (lib.filter (fact: !fact.ok) facts);

  missing = lib.filter (name: !vmTests ? ${name}) (lib.attrNames expected);
in
map (name: "there is no nix/tests/${name}.nix") missing
++ lib.concatLists (
  lib.mapAttrsToList problems (builtins.intersectAttrs expected vmTests)
)
