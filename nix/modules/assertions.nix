# Reports configuration errors, with what to write instead.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (import ./images.nix { inherit lib; })
    confOf
    namespaceOf
    normalise
    referenceOf
    ;
  engines = import ./engines.nix { inherit config pkgs; };
  inherit (config.virtualisation.nix-image) images;

  option = name: "virtualisation.nix-image.images.${name}";

  ofImage =
    name: image:
    [
      {
        assertion = confOf image.image != null;
        message = "${option name}.image is ${image.image.name}, which has no conf; write an image of dockerTools.streamLayeredImage or buildLayeredImage.";
      }
      {
        assertion = builtins.match "[A-Za-z0-9:_.-]+" name != null;
        message = "${option name}: the name becomes a unit's, so it must consist of letters, digits, ':', '_', '.' and '-'; the image keeps its own name.";
      }
      {
        assertion = image.engines != [ ];
        message = "${option name}.engines is empty; write for example [ \"podman\" ].";
      }
    ]
    ++ map (engine: {
      assertion = engines.${engine}.isEnabled;
      message = "${option name} is for ${engine}, and this machine has none; set ${engines.${engine}.enabledBy}, or remove \"${engine}\" from its engines.";
    }) image.engines;

  # The place of an image: engine, namespace and name.
  places = lib.concatLists (
    lib.mapAttrsToList (
      name: image:
      lib.optionals (confOf image.image != null) (
        map (engine: {
          inherit name engine;
          reference = referenceOf image.image;
          key = "${engine} ${namespaceOf engine image} ${normalise (referenceOf image.image)}";
        }) (lib.unique image.engines)
      )
    ) images
  );
  inOnePlace = lib.filter (group: lib.length group > 1) (
    lib.attrValues (lib.groupBy (place: place.key) places)
  );
in
{
  assertions =
    lib.concatLists (lib.mapAttrsToList ofImage images)
    ++ map (group: {
      assertion = false;
      message = "${lib.concatMapStringsSep " and " (place: option place.name) group} are both ${(lib.head group).reference} for ${(lib.head group).engine}; give one of them another name or tag.";
    }) inOnePlace;
}
