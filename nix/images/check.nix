# Wrong and contradictory arguments end at evaluation, with a sentence that
# says what to write instead.
{
  lib,
  stdenv,
}:

let
  inherit (builtins)
    attrNames
    concatStringsSep
    elem
    filter
    head
    isAttrs
    isBool
    isInt
    isList
    isString
    match
    toJSON
    ;

  show =
    value:
    if isAttrs value then
      "a set"
    else if isList value then
      "a list"
    else if builtins.isFunction value then
      "a function"
    else
      toJSON value;

  # Arguments of buildImage and of older days, for which there is another way.
  elsewhere = {
    copyToRoot = "its contents are symlinks into the store: write contents";
    keepContentsDirlinks = "its contents are symlinks into the store already: leave it out";
    runAsRoot = "write fakeRootCommands, with enableFakechroot = true for absolute paths";
    fromImageName = "it builds on the first image of the archive: leave it out";
    fromImageTag = "it builds on the first image of the archive: leave it out";
    diskSize = "it starts no virtual machine: leave it out";
    buildVMMemorySize = "it starts no virtual machine: leave it out";
    compressor = "it makes no file: write buildLayeredImage";
  };

  isTag = tag: isString tag && match "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}" tag != null;
  isId = id: isInt id || isString id && match "[0-9]+" id != null;
  # Packages are as good as strings: toJSON makes store paths of them.
  isText = text: isString text || builtins.isPath text || isAttrs text && text ? outPath;
  isTexts = list: isList list && builtins.all isText list;

  # What Docker and podman would refuse, or silently leave out, at `run`.
  configProblems =
    config:
    let
      wrong = key: isRight: config ? ${key} && config.${key} != null && !isRight config.${key};
      must = key: what: "config.${key} must be ${what}; you wrote ${show config.${key}}";
    in
    if config == null then
      [ ]
    else if !isAttrs config then
      [ "config must be a set such as { Cmd = [ \"/bin/sh\" ]; }; you wrote ${show config}" ]
    else
      lib.concatMap (key: lib.optional (wrong key isList) (must key "a list: write [ \"program\" \"argument\" ]")) [
        "Cmd"
        "Entrypoint"
        "Shell"
      ]
      ++ lib.optional (wrong "Env" isTexts) (
        must "Env" "a list of \"NAME=value\"; from a set, write lib.mapAttrsToList (name: value: \"\${name}=\${value}\") env"
      )
      ++ lib.concatMap (
        key: lib.optional (wrong key isAttrs) (must key "a set: write { \"${example.${key}}\" = { }; }")
      ) (attrNames example)
      ++ lib.optional (wrong "Labels" isAttrs) (must "Labels" "a set of strings: write { name = \"value\"; }")
      ++ lib.concatMap (key: lib.optional (wrong key isText) (must key "a string")) [
        "User"
        "WorkingDir"
      ];
  example = {
    ExposedPorts = "80/tcp";
    Volumes = "/data";
  };
in
{
  # The arguments of streamLayeredImage, unchanged, if nothing is wrong with them.
  streamLayeredImage =
    known: args:
    let
      wrong = key: isRight: args ? ${key} && !isRight args.${key};
      must = key: what: "${key} must be ${what}; you wrote ${show args.${key}}";
      strings = [
        "created"
        "mtime"
      ];
      bools = [
        "enableFakechroot"
        "includeStorePaths"
        "includeNixDB"
        "debug"
      ];
      unknown = filter (key: !elem key known) (attrNames args);
      baseName = baseNameOf args.name;
      problems =
        if !(args ? name) then
          [ "an image needs a name: write name = \"app\"" ]
        else if !isString args.name || args.name == "" then
          [ (must "name" "a string such as \"app\"") ]
        else if match ".*:.*" baseName != null then
          let
            parts = builtins.split ":" baseName;
          in
          [
            "the tag has an argument of its own: write name = \"${lib.removeSuffix ":${lib.last parts}" args.name}\"; tag = \"${lib.last parts}\""
          ]
        else
          map (
            key: "it does not know ${key}: " + elsewhere.${key} or "the arguments are ${concatStringsSep ", " known}"
          ) unknown
          ++ lib.optional (wrong "tag" (tag: tag == null || isTag tag)) (
            must "tag" "null or a string of letters, digits, '_', '.' and '-'"
          )
          ++ lib.optional (wrong "fromImage" (image: image == null || isText image)) (
            must "fromImage" "an image archive: a path or what buildLayeredImage, buildImage or pullImage makes"
          )
          ++ lib.optional (isAttrs args.fromImage or null && args.fromImage.isExe or false && !args.fromImage ? stream) (
            "fromImage must be a file, and ${args.fromImage.imageName or "yours"} is a program that streams one: make it by buildLayeredImage"
          )
          ++ lib.optional (wrong "contents" (contents: isText contents || isList contents)) (
            must "contents" "a package or a list of packages"
          )
          ++ lib.concatMap (key: lib.optional (wrong key isString) (must key "a string such as \"now\" or \"2030-01-31T12:00:00Z\"")) strings
          ++ lib.concatMap (key: lib.optional (wrong key isBool) (must key "true or false")) bools
          ++ lib.concatMap (key: lib.optional (wrong key isId) (must key "a number")) [
            "uid"
            "gid"
          ]
          ++ lib.optional (args.layeringPipeline or null == null && wrong "maxLayers" (n: isInt n && n > 1)) (
            must "maxLayers" "a number greater than 1, since the image's own files take one layer"
          )
          ++ lib.optional (wrong "layeringPipeline" (p: p == null || isList p || isText p)) (
            must "layeringPipeline" "a list such as [ [ \"popularity_contest\" ] [ \"limit_layers\" 20 ] ] or a JSON file that holds one"
          )
          ++ lib.optional (args.enableFakechroot or false && stdenv.hostPlatform.isDarwin) (
            "enableFakechroot needs proot, which Darwin does not have: write relative paths in fakeRootCommands, or build on Linux"
          )
          ++ configProblems (args.config or { });
    in
    if problems == [ ] then args else throw "in docker image ${show (args.name or null)}: ${head problems}";
}
