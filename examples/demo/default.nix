# The image of `make demo`, written as for nixpkgs' dockerTools: an application in Python, and some
# tools. Here, `pkgs` is a small set of this machine's programs, and `packageOf` makes packages of
# them. With nixpkgs and the overlay of this project, write `pkgs.python3` instead of
# `pkgs.packageOf "python" [ python ]`, and so on.
{
  host ? ../../target/demo/host,
  pkgs ? import ../../nix/testing { inherit host; },
  # The machine's Python: the program's name, and the directory of its modules.
  python,
  modules,
  # The names of the tools.
  tools,
  # Changes from one image to the next.
  greeting,
}:

let
  interpreter = pkgs.packageOf "python" [ python ];
  standardLibrary = builtins.path {
    name = "python-modules";
    path = /. + modules;
    # Leave out other installed modules, tests, and compiled files.
    filter =
      path: _:
      !builtins.elem (baseNameOf path) [
        "__pycache__"
        "dist-packages"
        "site-packages"
        "test"
      ];
  };
  pythonHome = pkgs.runCommand "python-home" { } ''
    mkdir -p $out/lib
    ln -s ${standardLibrary} $out/lib/${baseNameOf modules}
  '';

  app = pkgs.runCommand "app" { } ''
    mkdir -p $out/bin
    cat > $out/app.py <<'EOF'
    import os, platform
    print("${greeting} Python", platform.python_version(), "runs in a container of",
          len(os.listdir("/nix/store")), "store paths.")
    print("The owner of /data is", os.stat("/data").st_uid, "as fakeRootCommands said.")
    EOF
    cat > $out/bin/app <<EOF
    #!${pkgs.runtimeShell}
    export PYTHONHOME=${pythonHome}
    exec ${interpreter}/bin/${python} $out/app.py
    EOF
    chmod +x $out/bin/app
  '';
in
pkgs.dockerTools.streamLayeredImage {
  name = "nix-image-demo";
  tag = "latest";
  contents = [
    app
    pkgs.bash
    pkgs.coreutils
    pkgs.nix
    pkgs.sqlite
    pkgs.dockerTools.fakeNss
  ]
  ++ map (name: pkgs.packageOf name [ name ]) tools;
  fakeRootCommands = ''
    mkdir data
    chown 1000 data
  '';
  maxLayers = 25;
  config.Cmd = [ "app" ];
}
