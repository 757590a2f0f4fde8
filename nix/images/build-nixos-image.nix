# A NixOS system as a layered image, whose first process is systemd.
{
  lib,
  check,
  # Evaluates { modules, specialArgs } to a system; null where there is no nixpkgs.
  evalNixos,
  streamLayeredImage,
}:

let
  own = {
    # The system: its modules, or the toplevel of one whose boot.isContainer is set.
    modules = true;
    specialArgs = true;
    toplevel = true;
  };

  build =
    {
      modules ? [ ],
      specialArgs ? { },
      toplevel ? null,
      config ? { },
      extraCommands ? "",
      passthru ? { },
      ...
    }@args:
    let
      nixos =
        if evalNixos == null then
          throw "in docker image ${args.name}: buildNixosImage needs nixpkgs, which is not here: write toplevel = …, a system that is there"
        else
          evalNixos {
            inherit specialArgs;
            modules = [ ./nixos-container.nix ] ++ modules;
          };
      system = if toplevel != null then toplevel else nixos.config.system.build.toplevel;
    in
    streamLayeredImage (
      removeAttrs args (builtins.attrNames own)
      // {
        config = {
          # podman sees by this name that it is systemd.
          Cmd = [ "/sbin/init" ];
          StopSignal = "SIGRTMIN+3";
        }
        // config
        // {
          Env = [
            # systemd has to be told.
            "container=docker"
            "PATH=/run/wrappers/bin:/run/current-system/sw/bin"
          ]
          ++ config.Env or [ ];
        };
        # The system makes the rest when it starts.
        extraCommands = ''
          mkdir -p dev etc proc root run sbin sys tmp var
          chmod 700 root
          chmod 1777 tmp
          ln -s ${system}/init sbin/init
          ln -s ${system}/init init
        ''
        + extraCommands;
        passthru = {
          toplevel = system;
        }
        // lib.optionalAttrs (toplevel == null) { inherit nixos; }
        // passthru;
      }
    );

  known = lib.functionArgs streamLayeredImage // own;
in
lib.makeOverridable (
  lib.setFunctionArgs (args: build (check.buildNixosImage (builtins.attrNames known) args)) known
)
