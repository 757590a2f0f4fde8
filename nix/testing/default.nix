# A package set without nixpkgs: the programs of this machine that the image functions and their
# tests need. collect-programs has copied them to `host`.
{
  host ? ../../target/host,
  system ? builtins.currentSystem,
}:

let
  lib = import ./lib.nix;

  program =
    name:
    builtins.path {
      inherit name;
      path = host + "/bin/${name}";
    };

  # A separate store path for each library, so that closures are as fine-grained as real ones.
  library =
    name:
    builtins.path {
      inherit name;
      path = host + "/lib";
      filter = path: _: baseNameOf path == name;
    };
  needs = name: lib.splitLines (builtins.readFile (host + "/needs/${name}"));
  libraryPath = name: builtins.concatStringsSep ":" (map library (needs name));

  loader =
    let
      name = builtins.head (builtins.filter (name: builtins.match "ld-linux.*" name != null) (needs "bash"));
    in
    "${library name}/${name}";

  # For the builds that make the first packages.
  tools = builtins.path {
    name = "tools";
    path = host + "/bin";
    filter = path: _: builtins.elem (baseNameOf path) toolNames;
  };
  toolNames = [
    "bash"
    "chmod"
    "cp"
    "mkdir"
    "patchelf"
  ];
  toolLibraries = builtins.concatStringsSep ":" (map library (builtins.concatMap needs toolNames));

  package =
    name: programs:
    derivation {
      inherit
        name
        system
        loader
        tools
        toolLibraries
        ;
      builder = loader;
      args = [
        "--library-path"
        toolLibraries
        "${tools}/bash"
        "-e"
        ./package.sh
      ];
      outputs = [ "out" ];
      programs = lib.concatMapStrings (name: "${name} ${program name} ${libraryPath name}\n") programs;
      passAsFile = [ "programs" ];
    };

  stdenvSetup = derivation {
    name = "stdenv";
    inherit system;
    builder = "${packages.bash}/bin/bash";
    args = [
      "-ec"
      ''
        ${packages.coreutils}/bin/mkdir $out
        echo "initialPath='${toString initialPath}'" > $out/setup
        ${packages.coreutils}/bin/cat ${./setup.sh} >> $out/setup
      ''
    ];
  };
  initialPath = with packages; [
    bash
    coreutils
    gnutar
    gnugrep
    gnused
    findutils
  ];

  packages = {
    inherit lib;
    packageOf = package;
    buildPackages = packages;
    callPackage = lib.callPackageWith packages;
    dockerTools = packages.callPackage ../images { };
    moduleUnit = packages.callPackage ../modules/unit.nix { };
    testImages = packages.callPackage ./images.nix { };

    stdenv = rec {
      buildPlatform = hostPlatform;
      hostPlatform = {
        inherit system;
        isLinux = builtins.match ".*-linux" system != null;
        isDarwin = builtins.match ".*-darwin" system != null;
        isAarch64 = builtins.match "aarch64-.*" system != null;
        go.GOARCH = if packages.stdenv.hostPlatform.isAarch64 then "arm64" else "amd64";
      };
    };
    runtimeShell = "${packages.bash}/bin/bash";

    bash = package "bash" [ "bash" ];
    bashInteractive = packages.bash;
    coreutils = package "coreutils" [
      "basename"
      "cat"
      "chmod"
      "chown"
      "chroot"
      "cp"
      "cut"
      "date"
      "dirname"
      "env"
      "head"
      "id"
      "ln"
      "ls"
      "mkdir"
      "mknod"
      "mktemp"
      "mv"
      "readlink"
      "rm"
      "rmdir"
      "sha256sum"
      "sleep"
      "sort"
      "stat"
      "tee"
      "touch"
      "tr"
      "wc"
      "whoami"
    ];
    findutils = package "findutils" [ "find" ];
    gnugrep = package "gnugrep" [ "grep" ];
    gnused = package "gnused" [ "sed" ];
    gnutar = package "gnutar" [ "tar" ];
    nix = package "nix" [
      "nix-store"
      "nix-instantiate"
    ];
    nix-image = package "nix-image" [
      "nix-image"
      "stream-layered-image"
    ];
    pigz = package "pigz" [ "pigz" ];
    proot = package "proot" [ "proot" ];
    shadow = package "shadow" [
      "groupadd"
      "useradd"
    ];
    sqlite = package "sqlite" [ "sqlite3" ];
    util-linux = package "util-linux" [
      "mount"
      "unshare"
    ];
    zstd = package "zstd" [ "zstd" ];

    # At the same path as in nixpkgs.
    systemd =
      let
        program = package "systemd-program" [ "systemd" ];
      in
      packages.runCommand "systemd" { } ''
        mkdir -p $out/lib/systemd
        ln -s ${program}/bin/systemd $out/lib/systemd/systemd
      '';

    fakeroot =
      let
        programs = package "fakeroot-programs" [
          "faked-sysv"
          "getopt"
        ];
      in
      packages.runCommand "fakeroot" { } ''
        mkdir -p $out/bin $out/lib
        cp ${program "fakeroot"} $out/lib/fakeroot
        cp ${program "libfakeroot-sysv.so"} $out/lib/libfakeroot.so
        cat > $out/bin/fakeroot <<'EOF'
        #!${packages.runtimeShell}
        # Nix's sandbox has only one user, and the kernel's error for a chown to another
        # user is not one that Debian's fakeroot ignores.
        export FAKEROOTDONTTRYCHOWN=1
        export PATH=${packages.coreutils}/bin:${packages.gnused}/bin:${programs}/bin:$PATH
        exec ${packages.runtimeShell} @out@/lib/fakeroot -l @out@/lib/libfakeroot.so -f ${programs}/bin/faked-sysv -- "$@"
        EOF
        sed -i "s|@out@|$out|g" $out/bin/fakeroot
        chmod +x $out/bin/fakeroot
      '';

    # Users and groups, for programs that look them up.
    fakeNss = lib.makeOverridable (
      {
        extraPasswdLines ? [ ],
        extraGroupLines ? [ ],
      }:
      packages.symlinkJoin {
        name = "fake-nss";
        paths = [
          (packages.writeTextDir "etc/passwd" (
            "root:x:0:0:root user:/var/empty:/bin/sh\n"
            + lib.concatMapStrings (line: line + "\n") extraPasswdLines
            + "nobody:x:65534:65534:nobody:/var/empty:/bin/sh\n"
          ))
          (packages.writeTextDir "etc/group" (
            "root:x:0:\n"
            + lib.concatMapStrings (line: line + "\n") extraGroupLines
            + "nobody:x:65534:\n"
          ))
          (packages.writeTextDir "etc/nsswitch.conf" "hosts: files dns\n")
          (packages.runCommand "var-empty" { } "mkdir -p $out/var/empty\n")
        ];
      }
    ) { };

    # There are no certificates to trust offline; the shell image only names them.
    cacert = packages.writeTextDir "etc/ssl/certs/ca-bundle.crt" "";

    runCommand =
      name: attributes: buildCommand:
      let
        passthru = attributes.passthru or { };
      in
      derivation (
        removeAttrs attributes [
          "meta"
          "passthru"
        ]
        // {
          inherit name system buildCommand;
          stdenv = stdenvSetup;
          builder = packages.runtimeShell;
          args = [
            "-e"
            ./builder.sh
          ];
          outputs = [ "out" ];
        }
      )
      // passthru
      // {
        inherit passthru;
        meta = attributes.meta or { };
      };

    writeText =
      name: text:
      packages.runCommand name {
        inherit text;
        passAsFile = [ "text" ];
      } "cp $textPath $out";
    writeShellScriptBin =
      name: text:
      packages.runCommand name
        {
          text = "#!${packages.runtimeShell}\n${text}\n";
          passAsFile = [ "text" ];
        }
        ''
          mkdir -p $out/bin
          cp $textPath $out/bin/${name}
          chmod +x $out/bin/${name}
        '';
    # Like nixpkgs', but without the check.
    writeShellApplication =
      {
        name,
        runtimeInputs,
        text,
      }:
      packages.writeShellScriptBin name ''
        set -o errexit -o nounset -o pipefail
        export PATH="${lib.concatMapStrings (package: "${package}/bin:") runtimeInputs}$PATH"
        ${text}
      ''
      // {
        meta.mainProgram = name;
      };
    writeTextDir =
      path: text:
      packages.runCommand (baseNameOf path) {
        inherit text;
        passAsFile = [ "text" ];
      } "mkdir -p $out/${dirOf path}; cp $textPath $out/${path}";

    symlinkJoin =
      {
        name,
        paths,
        postBuild ? "",
        ...
      }@attributes:
      packages.runCommand name
        (removeAttrs attributes [ "name" "postBuild" ] // { paths = map (path: "${path}") paths; })
        ''
          mkdir -p $out
          shopt -s dotglob nullglob
          for path in $paths; do
            files=($path/*)
            if [[ ''${#files[@]} -gt 0 ]]; then
              cp -rsn --no-preserve=mode -t $out "''${files[@]}"
            fi
          done
          shopt -u dotglob nullglob
          ${postBuild}
        '';

    # The input of `nix-store --load-db`, from Nix's description of the closure.
    closureInfo =
      { rootPaths }:
      packages.runCommand "closure-info"
        {
          __structuredAttrs = true;
          exportReferencesGraph.closure = rootPaths;
          nativeBuildInputs = [ packages.nix ];
        }
        ''
          mkdir $out
          NIX_STATE_DIR=$TMPDIR/state NIX_REMOTE=dummy:// nix-instantiate --eval --strict --json \
            ${./registration.nix} --argstr attributes "$NIX_ATTRS_JSON_FILE" > registration
          printf '%b' "$(sed 's/^"//; s/"$//' registration)" > $out/registration
        '';
  };
in
packages
