# What the other files ask of an image.
{ lib }:

rec {
  # The conf that an image is made of, or null. nixpkgs' archives have it in
  # their stream.
  confOf =
    image: if lib.isAttrs image then image.conf or (image.stream.conf or null) else null;

  # Those that are images; the assertions tell of others.
  known = lib.filterAttrs (_: image: confOf image.image != null);

  # Its name and tag, as the conf has them.
  referenceOf = image: "${image.imageName}:${image.imageTag}";

  # The same name however it is written: engines put in what is left out.
  normalise =
    reference:
    let
      short = lib.foldl' (name: prefix: lib.removePrefix prefix name) reference [
        "localhost/"
        "docker.io/"
        "library/"
      ];
    in
    if lib.hasInfix ":" (lib.last (lib.splitString "/" short)) then short else "${short}:latest";

  # containerd's namespace; what has none gets a word for unit.sh.
  namespaceOf =
    engine: image:
    if engine == "containerd" then
      image.namespace
    else if engine == "k3s" then
      "k8s.io"
    else
      "-";

  unitOf = engine: name: "nix-image-${engine}-${name}.service";
}
