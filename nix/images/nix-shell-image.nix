# An image with the environment of a nix-shell, in which a derivation can be built.
#
# Except for the rc file it is nixpkgs' image, so its fakeRootCommands are byte for byte nixpkgs'
# (see customisation-layer.nix).
{
  lib,
  bashInteractive,
  cacert,
  fakeNss,
  helpers,
  storeDir,
  streamLayeredImage,
  writeShellScriptBin,
  writeText,
}:

let
  # The same directory as in Nix's sandbox.
  buildDir = "/build";

  # Converts an attribute to an environment variable, like Nix. A path literal has to be copied to
  # the store first, or it would not be in the closure.
  toEnv =
    value:
    if builtins.isPath value then
      "${value}"
    else if builtins.isList value then
      toString (map toEnv value)
    else
      toString value;
in
{
  drv,
  name ? drv.name + "-env",
  tag ? null,
  uid ? 1000,
  gid ? 1000,
  # A home directory that exists, unlike the sandbox's /homeless-shelter.
  homeDirectory ? buildDir,
  shell ? bashInteractive + "/bin/bash",
  # Runs in the interactive shell.
  command ? null,
  # Runs in a non-interactive shell.
  run ? null,
  # As in streamLayeredImage.
  layering ? { },
}:

let
  owner = "${toString uid}:${toString gid}";
  passAsFile = drv.drvAttrs.passAsFile or [ ];

  buildDerivation = writeShellScriptBin "buildDerivation" ''
    exec ${lib.escapeShellArg (toEnv drv.drvAttrs.builder)} ${
      lib.escapeShellArgs (map toEnv (drv.drvAttrs.args or [ ]))
    }
  '';

  path = "${dirOf shell}:${buildDerivation}/bin";

  # The startup file that nix-shell generates for its bash, step by step.
  rcfile = writeText "nix-shell-rc" ''
    unset PATH
    # For the setup script: leave out what is of use to builds alone.
    dontAddDisableDepTrack=1
    [ -e $stdenv/setup ] && source $stdenv/setup
    PATH=${path}:"$PATH"
    SHELL=${lib.escapeShellArg shell}
    BASH=${lib.escapeShellArg shell}
    # The setup script's strictness would end a person's session at the first error.
    set +e
    if [ -n "$PS1" ] && [ -z "$NIX_SHELL_PRESERVE_PROMPT" ]; then
      PS1='\n\[\033[1;32m\][nix-shell:\w]\$\[\033[0m\] '
    fi
    if [ "$(type -t runHook)" = function ]; then
      runHook shellHook
    fi
    unset NIX_ENFORCE_PURITY
    shopt -u nullglob
    shopt -s execfail
    ${lib.optionalString (command != null) "${command}\nexit"}
    ${lib.optionalString (run != null) "${run}\nexit"}
  '';

  certificates = "${cacert}/etc/ssl/certs/ca-bundle.crt";

  # The derivation's attributes, those of passAsFile as files.
  attributes = builtins.listToAttrs (
    lib.mapAttrsToList (
      attribute: value:
      if builtins.elem attribute passAsFile then
        {
          name = "${attribute}Path";
          value = "${writeText "shell-passAsFile-${attribute}" (toEnv value)}";
        }
      else
        {
          name = attribute;
          value = toEnv value;
        }
    ) (removeAttrs drv.drvAttrs [ "args" ])
  );

  # The paths of the outputs. They are to be built in the container, so they are not in the image.
  outputs = lib.genAttrs drv.outputs (
    output: builtins.unsafeDiscardStringContext drv.${output}.outPath
  );

  env = {
    SSL_CERT_FILE = certificates;
    NIX_SSL_CERT_FILE = certificates;
    # For the shell and buildDerivation as the container's command.
    PATH = path;
    HOME = homeDirectory;
    NIX_STORE = storeDir;
    NIX_BUILD_CORES = "1";
  }
  // attributes
  // outputs
  // lib.genAttrs [ "NIX_BUILD_TOP" "TMPDIR" "TEMPDIR" "TMP" "TEMP" "PWD" ] (_: buildDir)
  // {
    TERM = "xterm-256color";
  };
in
if drv.drvAttrs.__structuredAttrs or false then
  throw "streamNixShellImage: ${drv.name} has __structuredAttrs, which cannot be passed as environment variables; use a derivation without it, such as one of mkShell with the same inputs"
else if command != null && run != null then
  throw "streamNixShellImage: give either command, for an interactive shell, or run, for a non-interactive one"
else
  streamLayeredImage {
    inherit layering name tag;
    contents = [
      helpers.binSh
      helpers.usrBinEnv
      (fakeNss.override {
        extraPasswdLines = [ "nixbld:x:${owner}:Build user:${homeDirectory}:/noshell" ];
        extraGroupLines = [ "nixbld:!:${toString gid}:" ];
      })
    ];
    fakeRootCommands = ''
      # Effectively a single-user installation of Nix, giving the user full
      # control over the Nix store. Needed for building the derivation this
      # shell is for, but also in case one wants to use Nix inside the image.
      mkdir -p ./nix/{store,var/nix} ./etc/nix
      chown -R ${owner} ./nix ./etc/nix

      # Gives the user control over the build directory.
      mkdir -p .${buildDir}
      chown -R ${owner} .${buildDir}
    '';
    config = {
      User = owner;
      WorkingDir = buildDir;
      Cmd = [ shell ] ++ lib.optional (run == null) "--rcfile" ++ [ rcfile ];
      Env = lib.mapAttrsToList (variable: value: "${variable}=${value}") env;
    };
  }
