# The functions of nixpkgs' lib that the image functions use.
rec {
  inherit (builtins) concatMap;

  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: values: if condition then values else [ ];
  optionalString = condition: text: if condition then text else "";

  warn = text: value: builtins.trace "warning: ${text}" value;

  last = list: builtins.elemAt list (builtins.length list - 1);
  concatMapStrings = f: list: builtins.concatStringsSep "" (map f list);

  genAttrs =
    names: f:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = f name;
      }) names
    );
  mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);

  splitLines = text: builtins.filter (line: builtins.isString line && line != "") (builtins.split "\n" text);
  letters = builtins.filter (letter: letter != "" && letter != [ ]);
  toLower = builtins.replaceStrings
    (letters (builtins.split "" "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    (letters (builtins.split "" "abcdefghijklmnopqrstuvwxyz"));
  removeSuffix =
    suffix: text:
    let
      end = builtins.stringLength text - builtins.stringLength suffix;
    in
    if end >= 0 && builtins.substring end (-1) text == suffix then
      builtins.substring 0 end text
    else
      text;

  removePrefix =
    prefix: text:
    let
      length = builtins.stringLength prefix;
    in
    if builtins.substring 0 length text == prefix then builtins.substring length (-1) text else text;
  boolToString = value: if value then "true" else "false";
  optionalAttrs = condition: set: if condition then set else { };

  fetchers = {
    proxyImpureEnvVars = [
      "http_proxy"
      "https_proxy"
      "no_proxy"
    ];
    withNormalizedHash =
      { }:
      fetcher: args:
      fetcher (
        removeAttrs args [
          "hash"
          "sha256"
        ]
        // (
          if args ? outputHash then
            { }
          else if args ? hash then
            {
              outputHash = args.hash;
              outputHashAlgo = null;
            }
          else
            {
              outputHash = args.sha256;
              outputHashAlgo = "sha256";
            }
        )
      );
  };

  escapeShellArg = argument: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString argument)}'";
  escapeShellArgs = list: builtins.concatStringsSep " " (map escapeShellArg list);

  setFunctionArgs = f: arguments: {
    __functor = _: f;
    __functionArgs = arguments;
  };
  isFunction = f: builtins.isFunction f || f ? __functor && isFunction (f.__functor f);
  toFunction = value: if isFunction value then value else _: value;
  functionArgs = f: f.__functionArgs or (builtins.functionArgs f);
  mirrorFunctionArgs = f: g: setFunctionArgs g (functionArgs f);
  makeOverridable =
    f:
    mirrorFunctionArgs f (
      arguments:
      let
        result = f arguments;
        override = mirrorFunctionArgs f (new: makeOverridable f (arguments // toFunction new arguments));
      in
      if builtins.isAttrs result then result // { inherit override; } else result
    );

  callPackageWith =
    packages: f: extra:
    let
      function = if builtins.isPath f then import f else f;
    in
    makeOverridable function (builtins.intersectAttrs (functionArgs function) packages // extra);
}
