# The images that the test scripts load. They use only a few packages, so that the VM tests can make
# them from nixpkgs and the local driver from the host's programs.
{
  lib,
  bash,
  coreutils,
  dockerTools,
  nix,
  nix-image,
  runCommand,
  runtimeShell,
  shadow,
  systemd,
  util-linux,
  writeText,
  writeTextDir,
}:

let
  inherit (dockerTools)
    buildImage
    buildImageWithNixDb
    buildLayeredImage
    buildLayeredImageWithNixDb
    buildNixShellImage
    buildNixosImage
    exportImage
    mergeImages
    multiArch
    streamLayeredImage
    streamNixShellImage
    ;

  # A separate program, which no other image contains by accident.
  greeter =
    name:
    runCommand name { } ''
      mkdir -p $out/bin
      cat > $out/bin/${name} <<'EOF'
      #!${runtimeShell}
      echo 'Hello from ${name}!'
      EOF
      chmod +x $out/bin/${name}
      ln -s ${name} $out/bin/${name}-by-another-name
    '';
  hello = greeter "hello";

  sh = command: [
    "${bash}/bin/bash"
    "-c"
    command
  ];

  noStore = {
    contents = [ hello ];
    config.Cmd = [ "hello" ];
    includeStorePaths = false;
  };

  dated = name: created: {
    inherit name created;
    tag = "latest";
    contents = [ hello ];
    mtime = "@0";
  };

  onBaseOfKind =
    fromImage:
    buildImage {
      name = "on-base-of-kind";
      tag = "latest";
      inherit fromImage;
      extraCommands = "echo changed > extraCommand";
      config.Cmd = sh "hello; echo $(< /extraCommand)";
      compressor = "none";
    };

  rootFiles = name: runCommand "root-files-${name}" { };
  users = rootFiles "users" ''
    mkdir -p $out/etc $out/home/alice $out/var
    echo alice:x:1000:100::/home/alice:/bin/sh > $out/etc/passwd
    echo secret > $out/etc/shadow
    echo mine > $out/home/alice/file
  '';
  ownLayers.layers = [
    { deps = [ bash ]; }
    {
      deps = [ coreutils ];
      copyToRoot = [
        users
        (rootFiles "more" "mkdir -p $out/etc; echo more > $out/etc/more")
      ];
      perms = [
        {
          path = users;
          regex = "^/etc/shadow$";
          mode = "0600";
        }
        {
          path = users;
          regex = "^/home/alice";
          mode = "0700";
          uid = 1000;
          gid = 100;
          uname = "alice";
          gname = "users";
        }
      ];
    }
  ];

  images = {
    # What is in the store and in the root.
    hello = streamLayeredImage {
      name = "hello";
      tag = "latest";
      contents = [ hello ];
      config.Cmd = [ "hello" ];
    };
    no-store = streamLayeredImage (noStore // { name = "no-store"; tag = "latest"; });
    no-store-fakechroot = streamLayeredImage (
      noStore
      // {
        name = "no-store-fakechroot";
        tag = "latest";
        enableFakechroot = true;
      }
    );
    layered = buildLayeredImage {
      name = "Layered";
      tag = "latest";
      extraCommands = ''echo "(extraCommand)" > extraCommands'';
      contents = [
        bash
        coreutils
        hello
      ];
      config.Cmd = [ "${hello}/bin/hello" ];
    };
    another-layered = buildLayeredImage {
      name = "another-layered";
      tag = "latest";
      config.Cmd = [ "${hello}/bin/hello" ];
    };
    bare-path = streamLayeredImage {
      name = "bare-path";
      tag = "latest";
      contents = [
        coreutils
        ./contents
      ];
      config.Cmd = [
        "cat"
        "/hello.txt"
      ];
    };
    store-symlink = buildLayeredImage {
      name = "store-symlink";
      tag = "latest";
      contents = [
        coreutils
        storeSymlink
      ];
      config.Cmd = [
        "readlink"
        storeSymlink
      ];
    };
    certificates = buildLayeredImage {
      name = "certificates";
      tag = "latest";
      contents = [
        coreutils
        dockerTools.caCertificates
        dockerTools.fakeNss
        dockerTools.usrBinEnv
        dockerTools.binSh
      ];
    };

    # Names, tags, dates, architectures.
    no-tag = streamLayeredImage {
      name = "no-tag";
      contents = hello;
    };
    no-tag-layered = buildLayeredImage {
      name = "no-tag-layered";
      contents = hello;
    };
    prefixed = buildLayeredImage {
      name = "registry.example.org/team/prefixed";
      tag = "latest";
      config.Cmd = [ "${hello}/bin/hello" ];
    };
    now = buildLayeredImage {
      name = "now";
      tag = "latest";
      contents = [ coreutils ];
      created = "now";
      mtime = "2001-02-03T04:05:06Z";
    };
    # All that `date -d` accepts, as with nixpkgs.
    dated-zone = streamLayeredImage (dated "dated-zone" "2001-02-03 04:05:06 +0200");
    dated-seconds = streamLayeredImage (dated "dated-seconds" "@86400");
    dated-words = streamLayeredImage (dated "dated-words" "31 Jan 2030 12:00");
    dated-old = streamLayeredImage (dated "dated-old" "1901-12-13T20:45:52Z");
    dated-stream = streamLayeredImage (dated "dated-stream" "now");
    other-architecture = streamLayeredImage {
      name = "other-architecture";
      tag = "latest";
      architecture = "s390x";
      contents = [ hello ];
    };

    # Compressors.
    plain-file = buildLayeredImage (greeting "plain-file" // { compressor = "none"; });
    gz-file = buildLayeredImage (greeting "gz-file" // { compressor = "gz"; });
    zstd-file = buildLayeredImage (greeting "zstd-file" // { compressor = "zstd"; });

    # Layers.
    two-layers = buildLayeredImage {
      name = "two-layers";
      tag = "latest";
      maxLayers = 2;
      contents = [
        bash
        coreutils
        hello
      ];
      config.Cmd = sh "ls /bin/hello && hello";
    };
    hundred-layers = streamLayeredImage {
      name = "hundred-layers";
      tag = "latest";
      maxLayers = 100;
      # More store paths than layers.
      contents = [
        bash
        coreutils
      ]
      ++ map (n: greeter "hello-${toString n}") (builtins.genList (n: n) 120);
      config.Cmd = sh "for n in {0..119}; do hello-$n; done";
    };
    four-layers-with-base = buildLayeredImage {
      name = "four-layers-with-base";
      tag = "latest";
      fromImage = images.two-layers;
      maxLayers = 4;
      contents = [
        bash
        coreutils
        hello
        (greeter "on-top")
      ];
      config.Cmd = sh "ls /bin/hello && on-top";
    };
    on-top = buildLayeredImage {
      name = "on-top";
      tag = "latest";
      fromImage = images.layered;
      extraCommands = ''
        mkdir ./example-output
        chmod 777 ./example-output
      '';
      config = {
        Env = [ "PATH=${coreutils}/bin/" ];
        WorkingDir = "/example-output";
        Cmd = sh "echo hello > foo; cat foo /extraCommands";
      };
    };
    pipeline = streamLayeredImage {
      name = "pipeline";
      tag = "latest";
      contents = [
        coreutils
        hello
      ];
      config.Cmd = [ "hello" ];
      layeringPipeline = [
        [
          "split_paths"
          [ hello ]
        ]
        [
          "over"
          "rest"
          [
            "pipe"
            [
              [ "popularity_contest" ]
              [
                "limit_layers"
                2
              ]
            ]
          ]
        ]
      ];
    };

    # Layers defined by the author, and files in the root.
    own-layers = streamLayeredImage (ownLayers // {
      name = "own-layers";
      tag = "latest";
      copyToRoot = rootFiles "app" ''
        mkdir -p $out/etc $out/bin
        echo 1 > $out/etc/app
        ln -s ${bash}/bin/bash $out/bin/sh
      '';
      contents = [ hello ];
      config.Cmd = sh "${coreutils}/bin/cat /etc/passwd /etc/app; hello";
    });
    own-layers-changed = streamLayeredImage (ownLayers // {
      name = "own-layers-changed";
      tag = "latest";
      contents = [ (greeter "hello-again") ];
    });
    own-layers-without-store = streamLayeredImage {
      name = "own-layers-without-store";
      tag = "latest";
      layers = [ { copyToRoot = [ users ]; } ];
      includeStorePaths = false;
    };

    # A system that consists only of systemd and a service: NixOS cannot be built from this machine's
    # programs.
    machine = buildNixosImage {
      name = "machine";
      tag = "latest";
      toplevel = runCommand "toplevel" { } ''
        mkdir $out
        ln -s ${systemd}/lib/systemd/systemd $out/init
      '';
      copyToRoot = rootFiles "units" ''
        mkdir -p $out/bin $out/etc/systemd/system
        ln -s ${bash}/bin/bash $out/bin/sh
        cd $out/etc/systemd/system
        cat > default.target <<'EOF'
        [Unit]
        Requires=hello.service
        AllowIsolate=yes
        EOF
        cat > hello.service <<'EOF'
        [Unit]
        DefaultDependencies=no
        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=${bash}/bin/bash -c 'echo started > /run/hello'
        EOF
        # The unit that systemd starts on SIGRTMIN+3.
        cat > halt.target <<'EOF'
        [Unit]
        DefaultDependencies=no
        Requires=goodbye.service
        AllowIsolate=yes
        EOF
        cat > goodbye.service <<'EOF'
        [Unit]
        DefaultDependencies=no
        SuccessAction=exit-force
        [Service]
        Type=oneshot
        ExecStart=${bash}/bin/bash -c :
        EOF
      '';
    };

    # Environment.
    parent = buildLayeredImage {
      name = "parent";
      tag = "latest";
      config.Env = [
        "FROM_PARENT=true"
        "LAST_LAYER=parent"
      ];
    };
    child = streamLayeredImage {
      name = "child";
      tag = "latest";
      fromImage = images.parent;
      contents = [ coreutils ];
      config = {
        Env = [
          "FROM_CHILD=true"
          "LAST_LAYER=child"
        ];
        Cmd = [ "env" ];
      };
    };

    # Owners.
    owned = buildLayeredImage {
      name = "owned";
      tag = "latest";
      contents = [
        bash
        coreutils
      ];
      fakeRootCommands = ''
        mkdir -p ./home/alice
        chown 1000 ./home/alice
        ln -s ${greeter "only-in-the-link"} ./greeter
      '';
    };
    owned-in-chroot = streamLayeredImage {
      name = "owned-in-chroot";
      tag = "latest";
      enableFakechroot = true;
      # Absolute paths, which would be those of the build without the chroot.
      fakeRootCommands = ''
        mkdir -p /bin /etc
        ln -s ${hello}/bin/hello /bin/hello
        echo "127.0.0.1 localhost" > /etc/some-config-file
        touch /testfile
        chown 12345:12345 /testfile
      '';
      config.Cmd = sh "/bin/hello; ${coreutils}/bin/stat -c %u:%g /testfile; ${coreutils}/bin/cat /etc/some-config-file";
    };
    someone = buildLayeredImage {
      name = "someone";
      tag = "latest";
      contents = [
        bash
        coreutils
        (dockerTools.fakeNss.override {
          extraPasswdLines = [ "someone:x:999:999::/home/someone:" ];
          extraGroupLines = [ "someone:x:999:" ];
        })
      ];
      config.User = "someone";
      config.Cmd = [
        "stat"
        "-c"
        "%a"
        "/nix"
        "/nix/store"
      ];
    };
    not-root = streamLayeredImage {
      name = "not-root";
      tag = "latest";
      uid = 1000;
      gid = 1000;
      uname = "user";
      gname = "user";
      config = {
        User = "1000";
        Cmd = [
          "${coreutils}/bin/stat"
          "-c"
          "%u:%g"
          "${coreutils}"
        ];
      };
    };

    # Two versions of an image, for two configurations of a machine.
    generation-1 = streamLayeredImage (generation 1);
    generation-2 = streamLayeredImage (generation 2);

    # Nix in the container.
    nix-db = buildLayeredImageWithNixDb {
      name = "nix-db";
      tag = "latest";
      contents = [
        bash
        coreutils
        nix
        hello
        (writeTextDir "share/data" "some data")
      ];
      config.Env = [
        "NIX_PAGER=cat"
        "USER=nobody"
      ];
    };

    # Images of one layer.
    one-layer = buildImage {
      name = "One-Layer";
      tag = "latest";
      copyToRoot = root [
        bash
        coreutils
        hello
      ];
      config.Cmd = [ "/bin/hello" ];
    };
    one-layer-no-tag = buildImage {
      name = "one-layer-no-tag";
      copyToRoot = hello;
    };
    one-layer-plain = buildImage (oneLayer "one-layer-plain" // { compressor = "none"; });
    one-layer-zstd = buildImage (oneLayer "one-layer-zstd" // { compressor = "zstd"; });
    one-layer-prefixed = buildImage (
      oneLayer "one-layer-prefixed" // { name = "registry.example.org/team/one-layer-prefixed"; }
    );
    one-layer-now = buildImage (oneLayer "one-layer-now" // { created = "now"; });
    one-layer-other-architecture = buildImage (
      oneLayer "one-layer-other-architecture" // { architecture = "s390x"; }
    );
    one-layer-bare-path = buildImage {
      name = "one-layer-bare-path";
      tag = "latest";
      copyToRoot = ./contents;
      config.Cmd = [
        "${coreutils}/bin/cat"
        "/hello.txt"
      ];
    };
    one-layer-commands = buildImage {
      name = "one-layer-commands";
      tag = "latest";
      fromImage = images.one-layer;
      # Quotes and parentheses that the shell must interpret only once.
      extraCommands = ''
        echo "(extraCommand)" > extraCommands
        mkdir -m 1777 tmp
      '';
      uid = 1000;
      gid = 1000;
      config.Cmd = [
        "/bin/stat"
        "-c"
        "%n %a %u:%g"
        "/extraCommands"
        "/tmp"
        "/bin/hello"
      ];
    };
    # One base, as three kinds of file.
    one-layer-on-archive = onBaseOfKind images.layered;
    one-layer-on-stream = onBaseOfKind images.layered.stream;
    one-layer-on-layout = onBaseOfKind (
      runCommand "layout" { nativeBuildInputs = [ nix-image ]; } ''
        nix-image write --no-cache ${images.layered.stream.conf} $out --format oci
      ''
    );
    one-layer-on-layered = buildImage {
      name = "one-layer-on-layered";
      tag = "latest";
      fromImage = images.layered;
      copyToRoot = greeter "on-layered";
      config.Cmd = sh "on-layered; cat /extraCommands";
      config.Env = [ "PATH=/bin:${coreutils}/bin" ];
    };
    one-layer-repeated = buildImage {
      name = "one-layer-repeated";
      tag = "latest";
      fromImage = buildImage {
        name = "repeated-base";
        tag = "latest";
        fromImage = buildImage (nothing "repeated-base-base");
      };
      config.Cmd = [ "${hello}/bin/hello" ];
    };
    one-layer-parent = buildImage {
      name = "one-layer-parent";
      tag = "latest";
      config.Env = [
        "FROM_PARENT=true"
        "LAST_LAYER=parent"
      ];
    };
    one-layer-child = buildImage {
      name = "one-layer-child";
      tag = "latest";
      fromImage = images.one-layer-parent;
      config = {
        Cmd = [ "${coreutils}/bin/env" ];
        Env = [
          "FROM_CHILD=true"
          "LAST_LAYER=child"
        ];
      };
    };
    one-layer-dirlinks = buildImage {
      name = "one-layer-dirlinks";
      tag = "latest";
      keepContentsDirlinks = true;
      copyToRoot = [
        coreutils
        (runCommand "sbin" { } "mkdir $out; ln -s bin $out/sbin")
      ];
      config.Cmd = [
        "/bin/readlink"
        "/sbin"
      ];
    };
    one-layer-nix-db = buildImageWithNixDb {
      name = "one-layer-nix-db";
      tag = "latest";
      copyToRoot = root [
        bash
        coreutils
        nix
      ];
      config.Env = [
        "NIX_PAGER=cat"
        "USER=nobody"
      ];
    };

    # Several images in one archive.
    merged = mergeImages [
      images.owned
      images.no-tag-layered
      images.generation-1
    ];
    merged-with-base = mergeImages [
      images.layered
      images.on-top
    ];
    merged-compressors = mergeImages [
      images.plain-file
      images.zstd-file
      images.gz-file
    ];

    # Root file systems.
    exported = exportImage { fromImage = images.owned; };
    exported-order = exportImage { fromImage = images.order-3; };
    exported-chosen = exportImage {
      name = "exported-chosen";
      fromImage = images.merged;
      fromImageName = "generation";
      fromImageTag = "latest";
    };

    # Bases of other kinds.
    on-stream = streamLayeredImage (onBase "on-stream" images.hello);
    on-layout = streamLayeredImage (onBase "on-layout" layout);
    on-merged = streamLayeredImage (onBase "on-merged" "${images.merged}#generation:latest");
    order-1 = buildImage {
      name = "order-1";
      tag = "latest";
      extraCommands = "echo 1 | tee layer-1 > last";
    };
    order-2 = buildLayeredImage {
      name = "order-2";
      tag = "latest";
      fromImage = images.order-1;
      extraCommands = "echo 2 | tee layer-2 > last";
    };
    order-3 = buildImage {
      name = "order-3";
      tag = "latest";
      fromImage = images.order-2;
      copyToRoot = coreutils;
      extraCommands = "echo 3 | tee layer-3 > last";
      config.Cmd = [
        "/bin/cat"
        "/layer-1"
        "/layer-2"
        "/layer-3"
        "/last"
      ];
    };

    # Shells.
    shell-basic = shell "shell-basic" { } { };
    shell-hook = shell "shell-hook" { shellHook = "echo 'This is the shell hook!'; exit"; } { };
    shell-inputs = shell "shell-inputs" { nativeBuildInputs = [ hello ]; } { command = "hello"; };
    shell-pass-as-file = shell "shell-pass-as-file" {
      text = "this is a string";
      passAsFile = [ "text" ];
    } { command = ''cat "$textPath"''; };
    shell-run = shell "shell-run" { } { run = interactive; };
    shell-command = shell "shell-command" { } { command = interactive; };
    shell-home = shell "shell-home" { } {
      run = ''
        [[ "$HOME" == "$(eval "echo ~$(whoami)")" ]] || echo "HOME is not the user's"
        touch $HOME/file && echo "home is writable"
      '';
    };
    shell-no-home = shell "shell-no-home" { } {
      homeDirectory = "/homeless-shelter";
      run = ''
        [[ "$HOME" == "$(eval "echo ~$(whoami)")" ]] || echo "HOME is not the user's"
        [[ -e $HOME ]] || echo "home does not exist"
      '';
    };
    shell-build = shell "shell-build" { } { run = built; };
    shell-file = buildNixShellImage {
      name = "shell-file";
      tag = "latest";
      drv = derivationToBuild { };
      compressor = "zstd";
      run = built;
    };
  }
  // import ./root-images.nix {
    inherit
      bash
      coreutils
      dockerTools
      root
      runCommand
      runtimeShell
      sh
      shadow
      util-linux
      ;
  };

  storeSymlink = runCommand "symlink" { } "ln -s ${writeTextDir "dir/target" "anything"} $out";

  # Like buildEnv: links to the packages' files, which are in the image because of the closure.
  root =
    packages:
    runCommand "root" { } ''
      mkdir -p $out/bin
      for package in ${toString packages}; do
        ln -s $package/bin/* $out/bin
      done
    '';
  nothing = name: {
    inherit name;
    tag = "latest";
  };
  oneLayer = name: {
    inherit name;
    tag = "latest";
    copyToRoot = hello;
    config.Cmd = [ "/bin/hello" ];
  };

  onBase = name: fromImage: {
    inherit name fromImage;
    tag = "latest";
    config.Cmd = [ "${greeter name}/bin/${name}" ];
  };
  # A layout as made by pullImageByDigest: its blobs are links to other store paths.
  layout =
    let
      written = runCommand "written" { nativeBuildInputs = [ nix-image ]; } ''
        nix-image write --format oci --no-cache ${images.owned.conf} $out
      '';
    in
    runCommand "layout" { } ''
      mkdir -p $out/blobs/sha256
      cp ${written}/oci-layout ${written}/index.json $out
      ln -s ${written}/blobs/sha256/* $out/blobs/sha256
    '';

  greeting = name: {
    inherit name;
    tag = "latest";
    contents = [ hello ];
    config.Cmd = [ "hello" ];
  };

  generation = number: {
    name = "generation";
    tag = "latest";
    config.Cmd = [ "${greeter "generation-${toString number}"}/bin/generation-${toString number}" ];
  };

  derivationToBuild =
    attributes: runCommand "to-build" attributes "echo 'Built in the container' > $out";
  shell =
    name: attributes: arguments:
    streamNixShellImage (
      {
        inherit name;
        tag = "latest";
        drv = derivationToBuild attributes;
      }
      // arguments
    );
  built = "buildDerivation && cat $out";
  interactive = ''
    case "$-" in
      *i*) echo This shell is interactive ;;
      *) echo This shell is not interactive ;;
    esac
  '';
in
{
  inherit images;

  # One image for three platforms, made from streams and an archive.
  index = multiArch {
    name = "Team/App";
    tag = "1";
    images = {
      amd64 = streamLayeredImage {
        name = "app-for-amd64";
        architecture = "amd64";
        contents = [ hello ];
      };
      arm64 = buildLayeredImage {
        name = "app-for-arm64";
        architecture = "arm64";
        contents = [ hello ];
      };
      s390x = images.other-architecture;
    };
  };

  # What the scripts need to know about each image.
  table = writeText "images.json" (
    builtins.toJSON (
      builtins.mapAttrs (_: image: {
        # Merged and exported images have none.
        imageName = image.imageName or null;
        imageTag = image.imageTag or null;
        # An image of one layer has none.
        conf = image.conf or null;
        file = "${image}";
        isProgram = image.isExe or false;
      }) images
    )
  );
}
