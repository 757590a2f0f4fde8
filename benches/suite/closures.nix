# The benchmark's closures, as confs of images with one layer a path. Nothing of nixpkgs takes part:
# the builders are the host's.
{ python }:
let
  pathCount = 20;

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
  closureOf = count: name: path:
    let numbers = builtins.genList (number: number) count; in
    {
      conf = conf name (map (path "first") numbers);
      changed = conf name (map (number:
        path (if number == count / 2 then "second" else "first") number) numbers);
    };
  closure = closureOf pathCount;

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

  # A program of 6 MB in the middle of other paths, of which a few are large and most are small:
  # 121 paths, 700 MB.
  deploy = closureOf 121 "deploy" (variant: number:
    let
      sizes = [ 1 2 2 4 8 16 48 380 ];
      files = if number == 60 then 60 else builtins.elemAt sizes (number - number / 8 * 8);
    in
    random "deploy" files 80000 120000 variant number);
}
