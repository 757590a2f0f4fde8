# Rejects wrong and contradictory arguments at evaluation, with a message that says what to
# write instead.
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
    isPath
    isString
    match
    toJSON
    ;

  show =
    value:
    if isAttrs value then
      if value ? outPath then "a package" else "a set"
    else if isList value then
      "a list"
    else if builtins.isFunction value then
      "a function"
    else
      toJSON value;

  isTag = tag: isString tag && match "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}" tag != null;
  isId = id: isInt id || isString id && match "[0-9]+" id != null;
  # Packages count as strings: toJSON turns them into store paths.
  isText = text: isString text || isPath text || isAttrs text && text ? outPath;
  isTexts = list: isList list && builtins.all isText list;

  # The messages for those keys of a set that are present but wrong.
  wrong =
    prefix: set: rules:
    lib.concatMap (
      key:
      lib.optional (set ? ${key} && set.${key} != null && !rules.${key}.is set.${key})
        "${prefix}${key} must be ${rules.${key}.must}; you wrote ${show set.${key}}"
    ) (attrNames rules);
  rule = is: must: { inherit is must; };

  any = names: rule: lib.genAttrs names (_: rule);

  strategies = [
    "auto"
    "ordered"
    "delta"
    "popularity"
  ];

  layeringRules = {
    strategy = rule (
      strategy: elem strategy strategies
    ) "one of ${concatStringsSep ", " (map toJSON strategies)}";
    own = rule isTexts "a list of packages in the image: write [ app ]";
    previous = rule isText "a file written by nix-image layers: write ./layers.lock.json";
  };

  # The problems of the arguments that determine the layers.
  layeringProblems =
    {
      layering ? { },
      layeringPipeline ? null,
      ...
    }:
    let
      strategy = layering.strategy or "auto";
      given = key: layering.${key} or null != null;
    in
    if layering == { } then
      [ ]
    else if !isAttrs layering then
      [ "layering must be a set such as { strategy = \"ordered\"; }; you wrote ${show layering}" ]
    else
      map (
        key: "there is no layering.${key}: the keys are ${concatStringsSep ", " (attrNames layeringRules)}"
      ) (filter (key: !layeringRules ? ${key}) (attrNames layering))
      ++ wrong "layering." layering layeringRules
      ++
        lib.optional (layeringPipeline != null)
          "a layeringPipeline makes the layers by itself: leave out layering, or the pipeline"
      ++
        lib.optional (given "own" && layering.own != [ ] && !elem strategy [ "ordered" "delta" ])
          "layering.own is for the strategies ordered and delta: write strategy = \"ordered\""
      ++
        lib.optional (given "previous" && strategy != "delta")
          "layering.previous is for the strategy delta: write strategy = \"delta\"";

  # Values that an engine would reject, or silently ignore, at `run`.
  configRules =
    any [ "User" "WorkingDir" "StopSignal" ] (rule isText "a string")
    // any [ "Cmd" "Entrypoint" ] (
      rule (value: isText value || isTexts value) "a list of strings: write [ \"program\" \"argument\" ]"
    )
    // any [ "OnBuild" "Shell" ] (
      rule (value: isTexts value) "a list of strings: write [ \"program\" \"argument\" ]"
    )
    // {
      Env = rule isTexts "a list of \"NAME=value\": from a set, write lib.mapAttrsToList (name: value: \"\${name}=\${value}\") env";
      ExposedPorts = rule isAttrs "a set: write { \"80/tcp\" = { }; }";
      Volumes = rule isAttrs "a set: write { \"/data\" = { }; }";
      Labels = rule isAttrs "a set of strings: write { name = \"value\"; }";
      Healthcheck = rule isAttrs "a set: write { Test = [ \"CMD\" \"program\" ]; }";
    };

  # nixpkgs' archives have their stream's `isExe`, too, but also the attribute `stream`.
  isStream = image: isAttrs image && image.isExe or false && !(image.stream.isExe or false);

  # The arguments that both kinds of images have.
  common =
    any [ "uid" "gid" ] (rule isId "a number")
    // any [ "architecture" ] (rule isString "a string")
    // any [ "includeNixDB" ] (rule isBool "true or false")
    // any [ "extraCommands" ] (rule isText "a string of shell commands")
    // any [ "created" ] (rule isString "a string such as \"now\" or \"2030-01-31T12:00:00Z\"")
    // {
      tag = rule isTag "null, or letters, digits, '_', '.' and '-' in a string";
      config = rule isAttrs "a set such as { Cmd = [ \"/bin/sh\" ]; }";
    };
  isContents = contents: isText contents || isList contents;

  ownLayers = import ./check-layers.nix {
    inherit
      lib
      any
      isId
      isText
      isTexts
      rule
      show
      wrong
      ;
  };

  layered = {
    rules =
      common
      // ownLayers.rules
      // any [ "mtime" ] common.created
      // any [ "enableFakechroot" "includeStorePaths" "debug" ] common.includeNixDB
      // any [ "uname" "gname" ] common.architecture
      // any [ "fakeRootCommands" ] common.extraCommands
      // {
        contents = rule isContents "a package or a list of packages";
        fromImage = rule (
          image: isText image && (!isStream image || image ? conf)
        ) "an image of these functions, or an archive or OCI layout, as made by buildImage and pullImage";
        layeringPipeline = rule (
          pipeline: isText pipeline || isList pipeline
        ) "a list such as [ [ \"popularity_contest\" ] [ \"limit_layers\" 20 ] ], or a JSON file with one";
        maxLayers = rule (
          layers: isInt layers && layers > 1
        ) "a number greater than 1, since the image's own files take one layer";
      };
    # Arguments of buildImage and of old versions, which have a replacement.
    elsewhere = {
      keepContentsDirlinks = "copyToRoot keeps links in any case: leave it out";
      runAsRoot = "write fakeRootCommands, with enableFakechroot = true for absolute paths";
      fromImageName = "name the image behind the file: write fromImage = \"\${archive}#name:tag\"";
      fromImageTag = "name the image behind the file: write fromImage = \"\${archive}#name:tag\"";
      diskSize = "no virtual machine is started: leave it out";
      buildVMMemorySize = "no virtual machine is started: leave it out";
      compressor = "this function makes no file: write buildLayeredImage";
    };
    problems =
      args:
      lib.optional (args.enableFakechroot or false == true && stdenv.buildPlatform.isDarwin)
        "enableFakechroot needs proot, which Darwin does not have: write relative paths in fakeRootCommands, or build on Linux"
      ++ layeringProblems args
      ++ ownLayers.problems args;
  };

  nixos = layered // {
    rules = layered.rules // {
      modules = rule isList "a list of NixOS modules: write [ ./configuration.nix ]";
      specialArgs = rule isAttrs "a set of arguments for the modules";
      toplevel = rule isText "a system: write nixos.config.system.build.toplevel";
    };
    elsewhere = layered.elsewhere // {
      system = "write modules, or toplevel = nixos.config.system.build.toplevel";
    };
    problems =
      args:
      lib.optional (
        (args.toplevel or null == null) == (args.modules or null == null)
      ) "a system needs either modules or a toplevel: write modules = [ ./configuration.nix ]"
      ++ layered.problems args;
  };

  oneLayer = {
    rules =
      common
      // any [ "copyToRoot" "contents" ] (
        rule isContents "a package or a list of packages, whose files are copied into the root"
      )
      // any [ "keepContentsDirlinks" "runAsRootInVM" ] common.includeNixDB
      // any [ "runAsRoot" ] common.extraCommands
      // {
        inherit (layered.rules) fromImage;
      }
      // any [ "fromImageName" "fromImageTag" ] (rule isString "a string")
      // any [ "diskSize" "buildVMMemorySize" ] (rule isInt "a number of MiB");
    elsewhere = {
      enableFakechroot = "write runAsRoot, or buildLayeredImage with enableFakechroot";
      fakeRootCommands = "write runAsRoot, or buildLayeredImage with fakeRootCommands";
      includeStorePaths = "its layer always contains them: write buildLayeredImage";
      layering = "it makes one layer: write buildLayeredImage";
      layeringPipeline = "it makes one layer: write buildLayeredImage";
      maxLayers = "it makes one layer: write buildLayeredImage";
      mtime = "all of its files have the same time: write buildLayeredImage";
    };
    problems =
      args:
      lib.optional (
        args.contents or null != null && args.copyToRoot or null != null
      ) "You can not specify both contents and copyToRoot."
      ++
        lib.optional
          (
            args.runAsRoot or null != null
            && args.runAsRootInVM or false != true
            && stdenv.buildPlatform.isDarwin
          )
          "runAsRoot needs Linux' namespaces or proot, which Darwin does not have: write relative paths in extraCommands, or build on Linux";
  };

  index = import ./check-index.nix {
    inherit
      lib
      any
      common
      rule
      show
      ;
  };

  warnOfContents =
    args:
    if args.contents or null == null then
      args
    else
      lib.warn "in docker image ${args.name}: The contents parameter is deprecated. Change to copyToRoot if the contents are designed to be copied to the root filesystem, such as when you use `buildEnv` or similar between contents and your packages. Use copyToRoot = buildEnv { ... }; or similar if you intend to add packages to /bin." args;

  # Docker takes a string as a command for a list of one element, other engines reject it.
  # It is kept unchanged in the image, as by nixpkgs.
  warnOfStrings =
    name: config: value:
    builtins.foldl' (
      value: key:
      lib.warn "in docker image ${name}: config.${key} is a string, which only docker accepts; write it as a list: [ ${toJSON config.${key}} ]" value
    ) value (filter (key: isText (config.${key} or null)) [ "Cmd" "Entrypoint" ]);

  # The arguments of a function. Throws the first problem if there are any.
  checked =
    function: known: args:
    let
      problems =
        if !isString (args.name or null) || args.name == "" then
          [ "an image needs a name: write name = \"app\"" ]
        else if tagInName != null then
          [
            "the tag is a separate argument: write name = \"${head tagInName}\"; tag = \"${lib.last tagInName}\""
          ]
        else if match "[A-Za-z0-9][A-Za-z0-9_./:-]*" args.name == null then
          [ "a name is made of letters, digits, '.', '_', '-' and '/', such as \"registry.example.org/team/app\"" ]
        else
          map (
            key:
            "there is no argument ${key}: "
            + function.elsewhere.${key} or "the arguments are ${concatStringsSep ", " known}"
          ) (filter (key: !elem key known) (attrNames args))
          ++ wrong "" (
            # A pipeline sets its own limits.
            if args.layeringPipeline or null == null then args else removeAttrs args [ "maxLayers" ]
          ) function.rules
          ++ function.problems args
          ++ lib.optionals (isAttrs (args.config or null)) (wrong "config." args.config configRules);
      # A registry may have a port, but after the last slash a colon begins the tag.
      tagInName = match "(.*[^/]):([^/:]*)" args.name;
    in
    if problems != [ ] then
      throw "in docker image ${show (args.name or null)}: ${head problems}"
    else if isAttrs (args.config or null) then
      warnOfStrings args.name args.config args
    else
      args;
in
{
  inherit (index) streamOf;
  # What to read of a base image: its conf if it is a stream, so that no archive has to be made.
  archiveOrConf = image: if isStream image then image.conf else image;
  multiArch = checked index;
  streamLayeredImage = checked layered;
  buildNixosImage = checked nixos;
  buildImage = known: args: warnOfContents (checked oneLayer known args);
}
