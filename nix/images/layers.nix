# What `nix-image plan` is told of copyToRoot, perms and layers, beside the closure of the
# rest: attributes of the conf's derivation.
{ lib }:

let
  listOf = value: if builtins.isList value then value else [ value ];
  # Also of what is a path of the file system.
  storePaths = values: map (value: "${value}") (listOf values);
  permissions = map (permission: permission // { path = "${permission.path}"; });
in
{
  copyToRoot,
  perms,
  layers,
  includeStorePaths,
}:
let
  described = map (layer: {
    deps = storePaths (layer.deps or [ ]);
    copyToRoot = storePaths (layer.copyToRoot or [ ]);
    perms = permissions (layer.perms or [ ]);
  }) layers;
  numbered = builtins.genList (number: {
    key = "layer${toString number}";
    layer = builtins.elemAt described number;
  }) (builtins.length described);
  closure = lib.optionals includeStorePaths;
in
{
  isUsed = layers != [ ] || listOf copyToRoot != [ ];
  # What a Nix database in the image has to know.
  deps = lib.concatMap (layer: layer.deps) described;
  attributes = {
    copyToRoot = storePaths copyToRoot;
    perms = permissions perms;
    layers = map ({ key, layer }: layer // { graph = key; }) numbered;
  };
  # Of exportReferencesGraph.
  graphs = builtins.listToAttrs (
    map (
      { key, layer }:
      {
        name = key;
        value = closure (layer.deps ++ layer.copyToRoot);
      }
    ) numbered
  );
}
