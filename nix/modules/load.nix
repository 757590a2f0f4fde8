# For each image and engine, a unit that makes sure that the engine has the image, and for each
# engine, one that removes what the configuration no longer has.
#
# The units do not stay active. So each switch, and each start of a container that requires one,
# checks again, and a changed image does not stop the containers of other images.
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:

let
  inherit (import ./images.nix { inherit lib; })
    confOf
    known
    namespaceOf
    referenceOf
    unitOf
    ;
  engines = import ./engines.nix { inherit config pkgs; };
  cfg = config.virtualisation.nix-image;

  program = lib.getExe (
    pkgs.callPackage ./unit.nix {
      nix-image = cfg.package;
    }
  );

  imagesFor = engine: lib.filterAttrs (_: image: lib.elem engine image.engines) (known cfg.images);

  common =
    engine:
    let
      inherit (engines.${engine}) environment mounts path;
    in
    {
      inherit path;
      unitConfig.RequiresMountsFor = mounts;
      environment = environment // {
        XDG_CACHE_HOME = "/var/cache";
      };
      serviceConfig = {
        Type = "oneshot";
        StateDirectory = "nix-image";
        CacheDirectory = "nix-image";

        # No options that give the unit its own mounts: files of the Nix store can only be linked
        # within one mount. Others are left out because images may contain setuid programs.
        NoNewPrivileges = true;
        LockPersonality = true;
        RestrictRealtime = true;
        SystemCallArchitectures = "native";
        # Engines that pull do so from the loopback interface.
        IPAddressAllow = "localhost";
        IPAddressDeny = "any";
      };
    };

  load =
    engine: name: image:
    let
      inherit (engines.${engine}) argument before units;
    in
    lib.nameValuePair (lib.removeSuffix ".service" (unitOf engine name)) (
      lib.mkMerge [
        (common engine)
        {
          description = "Image ${referenceOf image.image} for ${engine}";
          wantedBy = [ "multi-user.target" ];
          after = units;
          requires = units;
          inherit before;
          unitConfig = {
            StartLimitIntervalSec = 300;
            StartLimitBurst = 3;
          };
          serviceConfig = {
            ExecStart = utils.escapeSystemdExecArgs [
              program
              "add"
              argument
              (namespaceOf engine image)
              (referenceOf image.image)
              "${confOf image.image}"
            ];
            # Units that wait for the image go on waiting meanwhile.
            Restart = "on-failure";
            RestartMode = "direct";
            RestartSec = 5;
          };
        }
      ]
    );

  clean =
    engine:
    let
      inherit (engines.${engine}) argument formerly units;
      images = imagesFor engine;
      remove =
        argument: wanted:
        utils.escapeSystemdExecArgs [
          program
          "clean"
          argument
          wanted
        ];
      wanted = pkgs.writeText "nix-image-${engine}-images" (
        lib.concatMapStrings (image: ''
          ${namespaceOf engine image} ${referenceOf image.image} ${confOf image.image}
        '') (lib.attrValues images)
      );
    in
    lib.nameValuePair "nix-image-clean-${engine}" (
      lib.mkMerge [
        (common engine)
        {
          description = "Images for ${engine} that the system no longer has";
          wantedBy = [ "multi-user.target" ];
          # By then, containers of a removed image have been stopped.
          after =
            units
            ++ map (unitOf engine) (lib.attrNames images)
            ++ map (container: "${container.serviceName}.service") (
              lib.attrValues config.virtualisation.oci-containers.containers
            );
          requires = units;
          unitConfig.ConditionPathExistsGlob = map (
            argument: "|/var/lib/nix-image/state/${argument}/*"
          ) ([ argument ] ++ formerly);
          serviceConfig.ExecStart = [
            (remove argument wanted)
          ]
          ++ map (argument: remove argument "/dev/null") formerly;
        }
      ]
    );

  # If an engine is not enabled, the assertions report it.
  units =
    engine:
    lib.optionals engines.${engine}.isEnabled (lib.mapAttrsToList (load engine) (imagesFor engine))
    ++ lib.optional engines.${engine}.isCleaned (clean engine);
in
{
  systemd.services = lib.listToAttrs (lib.concatMap units (lib.attrNames engines));
}
