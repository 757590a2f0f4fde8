# The NixOS module: the units of each engine, containers that run one of the module's images, what a
# changed image restarts, and the messages about wrong configurations.
{ pkgs }:

let
  inherit (pkgs) lib;

  machine =
    modules:
    import (pkgs.path + "/nixos/lib/eval-config.nix") {
      inherit pkgs;
      system = null;
      modules = modules ++ [
        {
          boot.isContainer = true;
          system.stateVersion = lib.trivial.release;
        }
      ];
    };
  withModule = modules: machine ([ ../modules ] ++ modules);

  streamed =
    arguments:
    pkgs.dockerTools.streamLayeredImage (
      {
        name = "app";
        tag = "1";
      }
      // arguments
    );
  app = streamed { };
  changed = streamed { config.Env = [ "CHANGED=1" ]; };
  other = streamed { name = "other"; };
  archived = pkgs.dockerTools.buildLayeredImage { name = "archived"; };

  # The options that enable each engine.
  enabled = {
    podman.virtualisation.podman.enable = true;
    docker.virtualisation.docker.enable = true;
    containerd.virtualisation.containerd.enable = true;
    k3s.services.k3s.enable = true;
  };
  engines = lib.attrNames enabled;
  everything = lib.attrValues enabled;

  image = name: image: engines: {
    virtualisation.nix-image.images.${name} = { inherit image engines; };
  };
  container = backend: name: container: {
    virtualisation.oci-containers = {
      inherit backend;
      containers.${name} = container;
    };
  };
  store = enable: { virtualisation.nix-image.store = { inherit enable; }; };

  unit = evaluated: name: evaluated.config.systemd.units.${name}.text;
  instantiates = evaluated: lib.hasSuffix ".drv" evaluated.config.system.build.toplevel.drvPath;
  failures =
    evaluated:
    map (failed: failed.message) (
      lib.filter (assertion: !assertion.assertion) evaluated.config.assertions
    );

  expect = what: holds: lib.optional (!holds) what;
  expectIn =
    what: part: whole:
    expect "${what} lacks ${part}, and is:\n${whole}" (
      lib.hasInfix (builtins.unsafeDiscardStringContext part) whole
    );

  # For each engine, strings that its unit must contain.
  units = {
    podman = [
      ''"add" "store" "-" "app:1" "${app.conf}"''
      ''NIX_IMAGE_STORE=/var/lib/nix-image/store''
      "Before=crio.service podman-restart.service podman.service"
    ];
    docker = [
      ''"add" "docker" "-" "app:1" "${app.conf}"''
      "DOCKER_HOST=unix:///run/docker.sock"
      "After=docker.service docker.socket"
      "Requires=docker.service docker.socket"
    ];
    containerd = [
      ''"add" "containerd" "default" "app:1" "${app.conf}"''
      "CONTAINERD_ADDRESS=/run/containerd/containerd.sock"
      "After=containerd.service"
    ];
    k3s = [
      ''"add" "k3s" "k8s.io" "app:1" "${app.conf}"''
      "CONTAINERD_ADDRESS=/run/k3s/containerd/containerd.sock"
      "After=k3s.service"
    ];
  };
  eachEngine =
    engine:
    let
      evaluated = withModule [
        enabled.${engine}
        (image "app" app [ engine ])
      ];
      empty = withModule [ enabled.${engine} ];
    in
    expect "a machine with an image for ${engine} does not instantiate" (instantiates evaluated)
    ++ lib.concatMap (
      part: expectIn "the unit of ${engine}" part (unit evaluated "nix-image-${engine}-app.service")
    ) (units.${engine} ++ [ "WantedBy=multi-user.target" ])
    ++ expectIn "what removes images from ${engine}" "nix-image-${engine}-app.service" (
      unit evaluated "nix-image-clean-${engine}.service"
    )
    ++ expect "a machine without images removes no former ones from ${engine}" (
      empty.config.systemd.units ? "nix-image-clean-${engine}.service"
    );

  settings =
    evaluated: evaluated.config.virtualisation.containers.storage.settings.storage.options or { };
  inStore = withModule [
    enabled.podman
    (image "app" app [ "podman" ])
  ];
  loaded = withModule [
    enabled.podman
    (store false)
    (image "app" app [ "podman" ])
  ];
  theStore =
    expect "storage.conf does not name the store" (
      (settings inStore).additionalimagestores or [ ] == [ "/var/lib/nix-image/store" ]
    )
    ++ expect "podman's users cannot read the store before the first image" (
      inStore.config.systemd.tmpfiles.settings."10-nix-image" ? "/var/lib/nix-image/store/overlay-images/images.lock"
    )
    ++ expect "storage.conf names a store that is off" (!settings loaded ? additionalimagestores)
    ++ expect "storage.conf names a store that no image is for" (
      !settings (withModule [ enabled.podman ]) ? additionalimagestores
    )
    ++ expectIn "the unit without the store" ''"add" "podman" "-"'' (
      unit loaded "nix-image-podman-app.service"
    )
    ++ expectIn "what removes images without the store" ''"clean" "store" "/dev/null"'' (
      unit loaded "nix-image-clean-podman.service"
    );

  # Containers: the ways to name the image, and how they use it.
  ways = {
    imageStream.imageStream = app;
    imageFile = {
      imageFile = archived;
      image = "archived:${archived.imageTag}";
    };
    image.image = "app:1";
    "image in full".image = "localhost/app:1";
  };
  containers =
    backend: way:
    let
      evaluated = withModule [
        (image "app" app [ backend ])
        (image "archived" archived [ backend ])
        (container backend "named" ways.${way})
      ];
      name = "${backend}-named";
      loads = "nix-image-${backend}-${if way == "imageFile" then "archived" else "app"}.service";
      service = evaluated.config.systemd.services.${name};
      what = "a container of ${backend} with ${way}";
      named = evaluated.config.virtualisation.oci-containers.containers.named;
    in
    expectIn what loads (toString service.requires)
    ++ expectIn what loads (toString service.after)
    ++ expectIn what "--pull never" service.script
    ++ expect "${what} loads the archive" (named.imageStream == null && named.imageFile == null);

  # A container that the module must not touch.
  foreign = container "podman" "foreign" {
    image = "foreign:1";
    imageStream = streamed { name = "foreign"; };
  };
  untouched = expect "the module changes a container without an image of ours" (
    unit (withModule [
      foreign
      (image "app" app [ "podman" ])
    ]) "podman-foreign.service" == unit (machine [ foreign ]) "podman-foreign.service"
  );
  chosen =
    let
      evaluated = withModule [
        (image "app" app [ "podman" ])
        (container "podman" "pulls" {
          image = "app:1";
          pull = "newer";
        })
      ];
    in
    expectIn "a container whose pull is set" "--pull newer" evaluated.config.systemd.services.podman-pulls.script;

  # What restarts from one configuration to the next.
  restarts =
    let
      configuration =
        first: second:
        withModule [
          (image "first" first [ "podman" ])
          (image "second" second [ "podman" ])
          (container "podman" "first" { imageStream = first; })
          (container "podman" "second" { image = "other:1"; })
        ];
      before = configuration app other;
      after = configuration changed other;
      same = name: unit before name == unit after name;
    in
    expect "a changed image does not restart its container" (!same "podman-first.service")
    ++ expect "a changed image is not loaded" (!same "nix-image-podman-first.service")
    ++ expect "a changed image restarts the container of another one" (same "podman-second.service")
    ++ expect "a changed image loads another one" (same "nix-image-podman-second.service");

  # Wrong configurations, by part of the error message.
  wrong = {
    "podman, and this machine has none; set virtualisation.podman.enable" = [
      (image "app" app [ "podman" ])
    ];
    "docker, and this machine has none; set virtualisation.docker.enable" = [
      (image "app" app [ "docker" ])
    ];
    "containerd, and this machine has none; set virtualisation.containerd.enable" = [
      (image "app" app [ "containerd" ])
    ];
    "k3s, and this machine has none; set services.k3s.enable" = [ (image "app" app [ "k3s" ]) ];
    "nix-image.images.app.engines is empty" = [ (image "app" app [ ]) ];
    "images.app.image is hello-" = everything ++ [ (image "app" pkgs.hello engines) ];
    "images.a/b: the name becomes a unit's" = [ (image "a/b" app [ ]) ];
    "images.a and virtualisation.nix-image.images.b are both app:1 for docker" = [
      (image "a" app [ "docker" ])
      (image "b" changed [ "docker" ])
    ];
  };
  refused =
    said: expectIn "what is said of wrong use" said (toString (failures (withModule wrong.${said})));
  unknown =
    let
      evaluated = withModule [ (image "app" app [ "lxc" ]) ];
    in
    expect "an unknown engine is taken" (
      !(builtins.tryEval (lib.deepSeq evaluated.config.virtualisation.nix-image.images.app.engines true)).success
    );
  apart = expect "images of one name for different engines are refused" (
    failures (
      withModule (
        everything
        ++ [
          (image "a" app [ "docker" ])
          (image "b" changed [ "podman" ])
        ]
      )
    ) == [ ]
  );

  # Configurations that work as without the module, by part of the warning.
  warned = {
    "add \"podman\" to its engines" = [
      enabled.docker
      (image "app" app [ "docker" ])
      (container "podman" "c" {
        image = "app:1";
        imageStream = app;
      })
    ];
    "virtualisation.nix-image.store.enable = true" = [
      (store false)
      (image "app" app [ "podman" ])
      {
        users.users.somebody = {
          isNormalUser = true;
          linger = true;
        };
      }
      (container "podman" "c" {
        image = "app:1";
        imageStream = app;
        podman.user = "somebody";
      })
    ];
  };
  warns =
    said:
    let
      evaluated = withModule warned.${said};
    in
    expectIn "the warnings" said (toString evaluated.config.warnings)
    ++ expect "a container without access to the image does not load it" (
      evaluated.config.virtualisation.oci-containers.containers.c.imageStream == app
    );

  documentation = pkgs.nixosOptionsDoc {
    options = { inherit ((withModule [ ]).options.virtualisation) nix-image; };
  };
in
lib.concatMap eachEngine engines
++ theStore
++ lib.concatMap (
  backend: lib.concatMap (containers backend) (lib.attrNames ways)
) [ "docker" "podman" ]
++ untouched
++ chosen
++ restarts
++ lib.concatMap refused (lib.attrNames wrong)
++ unknown
++ apart
++ lib.concatMap warns (lib.attrNames warned)
++ expect "the options have no documentation" (
  lib.hasSuffix ".drv" documentation.optionsCommonMark.drvPath
)
