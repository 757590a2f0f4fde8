# The same arguments give the same bytes with nixpkgs' dockerTools and with ours.
{
  lib,
  path,
  runCommand,
  stdenv,

  bash,
  coreutils,
  hello,
  redis,
  python3Minimal,
}:

let
  system = stdenv.hostPlatform.system;
  theirs = (import path { inherit system; }).dockerTools;
  ours =
    (import path {
      inherit system;
      overlays = [ (import ../overlay.nix) ];
    }).dockerTools;

  base = theirs.buildLayeredImage {
    name = "base";
    tag = "latest";
    contents = [
      bash
      coreutils
    ];
    config.Env = [ "FROM_PARENT=true" ];
  };

  # Each has a tag: otherwise the tag would be the hash of the conf's derivation, which cannot be the
  # same in both.
  cases = tools: {
    plain = {
      contents = [ hello ];
      config.Cmd = [ "hello" ];
    };
    config-only = {
      config = {
        Cmd = [ "${redis}/bin/redis-server" ];
        Env = [ "GREETING=“ünïcödé” \"and\" \\ 😀" ];
        ExposedPorts."6379/tcp" = { };
        Volumes."/data" = { };
        Labels."org.opencontainers.image.title" = "redis";
      };
    };
    many-paths = {
      contents = [
        bash
        coreutils
        hello
        python3Minimal
        redis
      ];
    };
    few-layers = {
      contents = [
        python3Minimal
        redis
      ];
      maxLayers = 5;
    };
    two-layers = {
      contents = [
        bash
        hello
      ];
      maxLayers = 2;
    };
    from-image = {
      fromImage = base;
      contents = [ redis ];
      maxLayers = 30;
      config.Env = [ "FROM_CHILD=true" ];
    };
    extra-commands = {
      contents = hello;
      extraCommands = "mkdir -p tmp && chmod 1777 tmp && echo text > file";
    };
    fake-root = {
      contents = [ bash ];
      fakeRootCommands = "mkdir -p home/alice && chown 1000:100 home/alice";
    };
    fake-chroot = {
      contents = [ bash ];
      enableFakechroot = true;
      fakeRootCommands = "mkdir -p /home/alice && chown 1000:100 /home/alice";
    };
    no-store-paths = {
      contents = [ hello ];
      includeStorePaths = false;
    };
    nix-db = {
      contents = [ hello ];
      includeNixDB = true;
    };
    owner-and-dates = {
      contents = [ hello ];
      uid = 1000;
      gid = 100;
      uname = "alice";
      gname = "users";
      created = "2001-02-03T04:05:06Z";
      mtime = "2001-02-03 04:05:06 +0200";
      architecture = "riscv64";
    };
    pipeline = {
      contents = [
        hello
        redis
      ];
      layeringPipeline = [
        [ "popularity_contest" ]
        [
          "limit_layers"
          10
        ]
      ];
    };
    helpers = {
      contents = [
        tools.binSh
        tools.usrBinEnv
        tools.caCertificates
        tools.fakeNss
      ];
    };
  };

  # As files, before compression.
  oneLayer = tools: {
    tree.copyToRoot = hello;
    trees-and-links = {
      copyToRoot = [
        bash
        coreutils
      ];
      keepContentsDirlinks = true;
      uid = 1000;
    };
    commands = {
      copyToRoot = hello;
      extraCommands = "mkdir -m 1777 tmp; ln -s ${bash}/bin/bash sh";
      config.Env = [ "GREETING=ünïcödé" ];
    };
    nix-db = {
      copyToRoot = hello;
      includeNixDB = true;
    };
    on-layered = {
      fromImage = base;
      copyToRoot = tools.fakeNss;
    };
    on-one-layer = {
      fromImage = theirs.buildImage {
        name = "base";
        tag = "latest";
        copyToRoot = bash;
      };
      config.Cmd = [ "${redis}/bin/redis-server" ];
    };
  };
  file =
    tools: name: arguments:
    tools.buildImage (
      arguments
      // {
        name = "registry.example.org/Team/${name}";
        tag = "latest";
        compressor = "none";
      }
    );

  stream =
    tools: name: arguments:
    tools.streamLayeredImage (
      arguments
      // {
        name = "registry.example.org/Team/${name}";
        tag = "latest";
      }
    );
in
runCommand "identical-to-nixpkgs"
  {
    passthru = {
      ours = lib.mapAttrs (stream ours) (cases ours);
      theirs = lib.mapAttrs (stream theirs) (cases theirs);
    };
  }
  (
    lib.concatMapStrings (name: ''
      echo ${name}
      cmp <(${stream theirs name (cases theirs).${name}}) <(${stream ours name (cases ours).${name}})
    '') (lib.attrNames (cases ours))
    + lib.concatMapStrings (name: ''
      echo one layer: ${name}
      cmp ${file theirs name (oneLayer theirs).${name}} ${file ours name (oneLayer ours).${name}}
    '') (lib.attrNames (oneLayer ours))
    + "touch $out"
  )
