# The description of copyToRoot, perms and layers for `nix-image plan`, as attributes of the conf's
# derivation. The closure of everything else is added elsewhere.
{ lib }:

let
  listOf = value: if builtins.isList value then value else [ value ];
  # Interpolation also copies file system paths to the store.
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
  # For a Nix database in the image.
  deps = lib.concatMap (layer: layer.deps) described;
  attributes = {
    copyToRoot = storePaths copyToRoot;
    perms = permissions perms;
    layers = map ({ key, layer }: layer // { graph = key; }) numbered;
  };
  # For exportReferencesGraph.
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
