# A NixOS system as a layered image, whose first process is systemd.
{
  lib,
  check,
  # Evaluates { modules, specialArgs } to a system; null without nixpkgs.
  evalNixos,
  streamLayeredImage,
}:

let
  own = {
    # The system: either its modules, or the toplevel of a system with boot.isContainer.
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
          throw "in docker image ${args.name}: buildNixosImage needs nixpkgs, which is not available here: write toplevel = …, an existing system"
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
          # podman recognizes systemd by this name.
          Cmd = [ "/sbin/init" ];
          StopSignal = "SIGRTMIN+3";
        }
        // config
        // {
          Env = [
            # Tells systemd that it runs in a container.
            "container=docker"
            "PATH=/run/wrappers/bin:/run/current-system/sw/bin"
          ]
          ++ config.Env or [ ];
        };
        # The system creates everything else when it starts.
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
