# The closures that the benchmark streams, each of about twenty paths, as confs of images with one
# layer a path. Nothing of nixpkgs takes part: the builders are the host's.
{ python }:
let
  pathCount = 20;
  numbers = builtins.genList (number: number) pathCount;

  make = name: arguments: derivation {
    name = "bench-${name}";
    system = builtins.currentSystem;
    builder = python;
    args = [ "-IS" ./generate.py ] ++ map toString arguments;
  };

  # A conf of the schema of the script's first version, which nix-image takes too.
  conf = name: paths: derivation {
    name = "bench-${name}-conf.json";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" ''printf %s "$conf" > "$out"'' ];
    conf = builtins.toJSON {
      architecture = "amd64";
      config = { Cmd = [ "/bin/start" ]; };
      os = "linux";
      created = "1970-01-01T00:00:01+00:00";
      repo_tag = "bench-${name}:latest";
      store_layers = map (path: [ path ]) paths;
      customisation_layer = make "${name}-root" [ "root" (builtins.head paths) ];
    };
  };

  # `path` makes the path of a number; `changed` has another one in the middle.
  closure = name: path: {
    conf = conf name (map (path "first") numbers);
    changed = conf name (map (number:
      path (if number == pathCount / 2 then "second" else "first") number) numbers);
  };

  random = name: count: smallest: largest: variant: number:
    make "${name}-${toString number}"
      [ "random" "${name}-${toString number}-${variant}" count smallest largest ];
in
{
  # 360 files a path, of 55 to 165 kB: 7,200 files, 790 MB.
  large = closure "large" (random "large" 360 55000 165000);

  # 2,000 files a path, from nothing to 20,000 bytes: 40,000 files, 400 MB.
  small = closure "small" (random "small" 2000 0 20000);

  # About 25 MB a path of what the host has installed. The changed path differs from its original
  # by a few files, as that of a rebuilt package does.
  mix = closure "mix" (variant: number:
    make "mix-${toString number}" [
      "copies" number pathCount (if variant == "first" then 25000000 else 24500000)
      "/usr/bin" "/usr/lib" "/usr/share"
    ]);
}
