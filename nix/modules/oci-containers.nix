# If a container of virtualisation.oci-containers has one of these images, it runs it from the
# engine. nixpkgs would pipe the whole archive into `podman load` or `docker load` at every start.
{
  config,
  lib,
  ...
}:

let
  inherit (lib) mkDefault mkIf mkOption types;
  inherit (import ./images.nix { inherit lib; })
    confOf
    known
    normalise
    referenceOf
    unitOf
    ;
  inherit (config.virtualisation.nix-image) store;
  images = known config.virtualisation.nix-image.images;
  inherit (config.virtualisation.oci-containers) backend containers;

  find = matches: lib.findFirst (name: matches images.${name}) null (lib.attrNames images);

  # The image that a stream or an archive belongs to.
  ofFile =
    file:
    if file == null then
      null
    else
      find (
        { image, ... }:
        "${image}" == "${file}" || confOf file != null && "${confOf image}" == "${confOf file}"
      );
  ofName = name: find ({ image, ... }: normalise (referenceOf image) == normalise name);

  container =
    { config, options, ... }:
    let
      # nixpkgs gets the option's value without the files that it would load.
      given = lib.findFirst (file: file != null) null (
        options.imageStream.definitions ++ options.imageFile.definitions
      );
      byFile = ofFile given;
      # Another user's podman reads the image store, but not the storage of root's podman.
      user = config.podman.user or "root";
      isReached =
        name:
        name != null && lib.elem backend images.${name}.engines
        && (backend == "docker" || store.enable || user == "root");
      withoutOurs = file: if isReached (ofFile file) then null else file;
    in
    {
      options = {
        nixImage = mkOption {
          type = types.nullOr types.str;
          internal = true;
          readOnly = true;
          default =
            let
              name = if given != null then byFile else ofName config.image;
            in
            if isReached name then name else null;
          description = "The image of {option}`virtualisation.nix-image.images` that this container runs.";
        };
        unreachedImage = mkOption {
          type = types.nullOr types.str;
          internal = true;
          readOnly = true;
          default = if byFile != null && !isReached byFile then byFile else null;
          description = "The image that this container would run if its engine had the image.";
        };
        imageStream = mkOption { apply = withoutOurs; };
        imageFile = mkOption { apply = withoutOurs; };
      };
      config = {
        image = mkIf (byFile != null) (mkDefault (referenceOf images.${byFile}.image));
        pull = mkIf (config.nixImage != null) (mkDefault "never");
      };
    };

  ours = lib.filterAttrs (_: container: container.nixImage != null) containers;
  unreached = lib.filterAttrs (_: container: container.unreachedImage != null) containers;
in
{
  options.virtualisation.oci-containers.containers = mkOption {
    type = types.attrsOf (types.submodule container);
  };

  config = {
    systemd.services = lib.mapAttrs' (
      _: container:
      let
        unit = unitOf backend container.nixImage;
      in
      lib.nameValuePair container.serviceName {
        after = [ unit ];
        requires = [ unit ];
        restartTriggers = [ "${confOf images.${container.nixImage}.image}" ];
      }
    ) ours;

    warnings = lib.mapAttrsToList (
      name: container:
      "virtualisation.oci-containers.containers.${name} loads the whole image ${container.unreachedImage} at each start, because virtualisation.nix-image.images.${container.unreachedImage} is not available to ${
        if lib.elem backend images.${container.unreachedImage}.engines then
          "${container.podman.user}'s podman: set virtualisation.nix-image.store.enable = true"
        else
          "${backend}: add \"${backend}\" to its engines"
      }."
    ) unreached;
  };
}
