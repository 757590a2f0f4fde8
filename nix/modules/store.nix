# The additional image store, which podman, buildah and CRI-O read in addition to each user's
# storage.
{
  config,
  lib,
  ...
}:

let
  cfg = config.virtualisation.nix-image;
  inherit (cfg.store) directory;

  isUsed = lib.any (image: lib.elem "podman" image.engines) (lib.attrValues cfg.images);

  entry = kind: mode: {
    ${kind} = {
      inherit mode;
      user = "root";
      group = "root";
    };
  };
  folder = entry "d" "0755";
  file = entry "f" "0644";
in
{
  config = lib.mkIf (cfg.store.enable && isUsed) {
    virtualisation.containers.storage.settings.storage.options.additionalimagestores = [ directory ];

    # podman fails if the directory does not exist, and for ordinary users also if it would have to
    # create the files in it.
    systemd.tmpfiles.settings."10-nix-image" = {
      ${directory} = folder;
      "${directory}/overlay" = folder;
      "${directory}/overlay-images" = folder;
      "${directory}/overlay-images/images.lock" = file;
      "${directory}/overlay-layers" = folder;
      "${directory}/overlay-layers/layers.lock" = file;
    };
  };
}
