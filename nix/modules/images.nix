# What the other files need to know about an image.
{ lib }:

rec {
  # The conf that an image is made of, or null. nixpkgs' archives have it in their stream.
  confOf =
    image: if lib.isAttrs image then image.conf or (image.stream.conf or null) else null;

  # The images that have a conf; the assertions report the others.
  known = lib.filterAttrs (_: image: confOf image.image != null);

  # The image's name and tag, as in the conf.
  referenceOf = image: "${image.imageName}:${image.imageTag}";

  # The same result for all spellings of a name: engines add what is left out.
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

  # containerd's namespace, or a placeholder for unit.sh with other engines.
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
