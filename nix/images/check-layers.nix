# Checks the arguments copyToRoot, perms and layers of streamLayeredImage.
{
  lib,
  any,
  isId,
  isText,
  isTexts,
  rule,
  show,
  wrong,
}:

let
  inherit (builtins)
    attrNames
    concatStringsSep
    filter
    isAttrs
    isList
    isString
    match
    ;

  listOf = value: if isList value then value else [ value ];
  isContents = contents: isText contents || isTexts contents;
  copyToRoot = rule isContents "a directory or a list of directories, whose files are copied into the root";
  perms = rule (
    perms: isList perms && builtins.all isAttrs perms
  ) "a list of sets: write [ { path = root; regex = \"/etc/shadow\"; mode = \"0600\"; } ]";

  layerRules = {
    inherit copyToRoot perms;
    deps = rule isTexts "a list of packages, which the layer contains with their closures";
  };

  permissionRules =
    any [ "uname" "gname" "regex" ] (rule isString "a string")
    // any [ "uid" "gid" ] (rule isId "a number")
    // {
      path = rule isText "a package";
      mode = rule (
        mode: isString mode && match "[0-7]{3,4}" mode != null
      ) "three or four octal digits in a string, such as \"0755\"";
    };

  # The problems of a set, which messages call `what`.
  wrongSet =
    what: rules: set:
    map (
      key: "in ${what} there is no ${key}: the keys are ${concatStringsSep ", " (attrNames rules)}"
    ) (filter (key: !rules ? ${key}) (attrNames set))
    ++ wrong "in ${what}, " set rules;

  pathOf = package: builtins.unsafeDiscardStringContext "${package}";

  # The problems of a list of modes and owners for these trees.
  permissionProblems =
    what: trees: perms:
    lib.concatMap (
      number:
      let
        permission = builtins.elemAt perms number;
        name = "number ${toString (number + 1)} of ${what}";
        problems = wrongSet name permissionRules permission;
      in
      if problems != [ ] then
        problems
      else if permission.path or null == null then
        [ "${name} needs a path: the package among copyToRoot or deps that it applies to" ]
      else
        lib.optional (!builtins.elem (pathOf permission.path) (map pathOf trees))
          "${name} is for ${pathOf permission.path}, which is not in the same layer: write it into copyToRoot or deps"
    ) (builtins.genList (number: number) (builtins.length perms));

  layerProblems =
    layers: number:
    let
      layer = builtins.elemAt layers number;
      name = "number ${toString (number + 1)} of layers";
      problems = wrongSet name layerRules layer;
    in
    if !isAttrs layer || layer ? outPath then
      [ "${name} must be a set such as { deps = [ package ]; }; you wrote ${show layer}" ]
    else if problems != [ ] then
      problems
    else if layer.deps or [ ] == [ ] && layer.copyToRoot or [ ] == [ ] then
      [ "${name} is empty: write { deps = [ package ]; } or { copyToRoot = [ package ]; }" ]
    else
      permissionProblems "perms in ${name}" (layer.deps or [ ] ++ listOf (layer.copyToRoot or [ ])) (
        layer.perms or [ ]
      );
in
{
  rules = {
    inherit copyToRoot perms;
    layers = rule isList "a list of layers: write [ { deps = [ package ]; } ]";
  };
  # Only called with arguments of the right types.
  problems =
    {
      copyToRoot ? [ ],
      perms ? [ ],
      layers ? [ ],
      ...
    }:
    if isList layers && isContents copyToRoot && isList perms && builtins.all isAttrs perms then
      permissionProblems "perms" (listOf copyToRoot) perms
      ++ lib.concatMap (layerProblems layers) (
        builtins.genList (number: number) (builtins.length layers)
      )
    else
      [ ];
}
