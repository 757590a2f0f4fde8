# Compares the inputs of nixpkgs' examples of dockerTools when made by nixpkgs' functions and by ours
# (`problems`), and makes a table of what follows for their bytes (`table`). The bytes themselves are
# compared where images can be built (identical-to-nixpkgs.nix).
{ pkgs }:

let
  inherit (pkgs) lib;

  examples =
    overlays:
    (import pkgs.path {
      inherit (pkgs.stdenv.hostPlatform) system;
      inherit overlays;
    }).dockerTools.examples;
  overlay = import ../overlay.nix;
  theirs = examples [ sameRcFile ];
  ours = examples [
    overlay
    sameRcFile
  ];
  # As users get them.
  usual = {
    theirs = examples [ ];
    ours = examples [ overlay ];
  };

  # The rc file of nix-shell images differs; with the same one in both, the rest of these images can
  # be compared.
  sameRcFile = _: prev: {
    dockerTools = prev.dockerTools.override (old: {
      writeText = name: text: old.writeText name (if name == "nix-shell-rc" then "" else text);
    });
  };

  # The stream of an image that is a stream or an archive of one.
  streamOf = image: if image.isExe or false then image else image.stream or null;

  # The script that writes the conf refers to the derivations of the config and of the image's own
  # layer.
  input =
    conf: end:
    lib.findSingle (lib.hasSuffix end) (throw "${conf.name} has no ${end}")
      (throw "${conf.name} has more than one ${end}")
      (lib.attrNames (builtins.getContext conf.buildCommand));

  limit = conf: builtins.match ".*'--limit=([0-9]+)'.*" conf.buildCommand;

  fields =
    stream:
    let
      inherit (stream) conf;
      layers = conf.layersJsonFile or conf;
    in
    lib.genAttrs [ "created" "gid" "gname" "imageName" "mtime" "uid" "uname" ] (
      name: toString conf.${name}
    )
    // {
      tag = if lib.hasInfix conf.imageTag conf.outPath then "the conf's hash" else conf.imageTag;
      config = input conf "-base.json.drv";
      customisationLayer = input conf "-customisation-layer.drv";
      base = describe (conf.fromImage or null);
      roots = map toString layers.exportReferencesGraph.graph;
      maxLayers = layers.maxLayers or (if limit conf == null then null else 1 + lib.toInt (lib.head (limit conf)));
    };

  # Images of one layer. If commands run as root, the layer is made differently.
  oneLayer =
    image:
    let
      inherit (image) buildArgs layer;
      list = value: map toString (lib.toList (if value == null then [ ] else value));
    in
    {
      inherit (image) imageName;
      tag = if lib.hasInfix image.imageTag image.outPath then "the image's hash" else image.imageTag;
      base = describe (buildArgs.fromImage or null);
      compressor = lib.last (lib.splitString "." image.name);
    }
    // (
      if buildArgs ? runAsRoot then
        {
          inherit (buildArgs) runAsRoot;
          extraCommands = buildArgs.extraCommands or "";
          contents = list (buildArgs.copyToRoot or null);
        }
      else
        {
          inherit (layer) extraCommands;
          contents = list layer.contents;
          # If the image is dated `now`, the config is in a separate derivation.
          config = if buildArgs.created or "" == "now" then "now" else layer.baseJson.drvPath;
        }
    );

  describe =
    image:
    if image == null then
      null
    else if image ? buildArgs then
      oneLayer image
    else if streamOf image != null then
      fields (streamOf image)
    else if image ? outputHash then
      # The result is the same however it is fetched. In tests of fetchers, its name contains a hash of
      # the fetcher.
      if lib.hasInfix "-salted-" image.name then image.outputHash else image.outPath
    else
      image.drvPath;

  differences =
    name:
    let
      a = describe theirs.${name};
      b = describe ours.${name};
    in
    if theirs.${name} ? outputHash then
      lib.optional (a != b) "${name}: nixpkgs fetches ${a}, ours ${toString b}"
    else if lib.isString a then
      # Made by nixpkgs' function, though perhaps on top of an image made by ours.
      lib.optional (!lib.isString b) "${name} is another kind of image"
    else
      map (
        field: "${name}: ${field}: nixpkgs has ${builtins.toJSON a.${field}}, ours ${builtins.toJSON b.${field}}"
      ) (lib.filter (field: a.${field} != b.${field}) (lib.attrNames a));

  images = lib.filter (name: lib.isDerivation theirs.${name}) (lib.attrNames theirs);

  # What follows from the comparison for an example's bytes.
  verdict =
    name:
    let
      image = usual.theirs.${name};
      a = describe image;
      args = image.buildArgs or { };
      isNow = args.created or "" == "now" || a.created or "" == "now";
      apart =
        lib.optional (usual.theirs.${name} ? conf && a != describe usual.ours.${name}) "the shell's rc file"
        ++ lib.optional (isNow) "the creation time"
        ++ lib.optional (lib.hasSuffix "hash" (a.tag or "")) "the tag, which is a hash";
    in
    if image ? outputHash then
      "the archive"
    else if args ? runAsRoot then
      "the layers below; the layer made by its commands as root differs"
    else if lib.isString a then
      if lib.hasPrefix "merge" image.name then
        "the images' members, but in the order of the images"
      else
        "the tree; the tar file differs"
    else if apart == [ ] then
      "image and archive"
    else
      "image and archive, except ${lib.concatStringsSep " and " apart}";
in
{
  problems =
    lib.optional (lib.length images < 60) "nixpkgs has only ${toString (lib.length images)} examples"
    ++ lib.concatMap differences images;

  table = ''
    | example | what is equal |
    |---|---|
  ''
  + lib.concatMapStrings (name: "| `${name}` | ${verdict name} |\n") images;
}
