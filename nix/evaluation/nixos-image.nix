# buildNixosImage makes a system for a container from modules, and an image that starts it.
{ pkgs }:

let
  inherit (pkgs) lib;
  inherit (pkgs.dockerTools) buildNixosImage;

  image = buildNixosImage {
    name = "machine";
    modules = [
      (
        { word, ... }:
        {
          services.nginx.enable = true;
          environment.etc.word.text = word;
        }
      )
    ];
    specialArgs.word = "of specialArgs";
    config.Env = [ "A=1" ];
    config.ExposedPorts."80/tcp" = { };
    extraCommands = "touch mine";
  };
  inherit (image) nixos toplevel;
  inherit (image.conf) config;
  again = buildNixosImage {
    name = "machine";
    inherit toplevel;
  };

  holds = {
    "the modules are the system's" = nixos.config.services.nginx.enable;
    "they get specialArgs" = nixos.config.environment.etc.word.text == "of specialArgs";
    "the system is for a container" = nixos.config.boot.isContainer;
    "it has no kernel and no boot loader" =
      !nixos.config.boot.kernel.enable && !nixos.config.boot.loader.grub.enable;
    "its packages are those of this nixpkgs" = nixos.pkgs.nix-image.drvPath == pkgs.pkgsLinux.nix-image.drvPath;
    "the system leaves the engine's own files alone" =
      lib.all (file: !nixos.config.environment.etc.${file}.enable or false) [ "hosts" "hostname" ]
      && !nixos.config.networking.resolvconf.enable;
    "a module can enable them again" =
      (buildNixosImage {
        name = "machine";
        modules = [ { networking.firewall.enable = true; } ];
      }).nixos.config.networking.firewall.enable;
    "the system can be evaluated to its end" = lib.hasSuffix ".drv" toplevel.drvPath;
    "so can the image" = lib.hasSuffix ".drv" image.drvPath;
    "the first process is systemd" = config.Cmd == [ "/sbin/init" ];
    "it is stopped as systemd wants it" = config.StopSignal == "SIGRTMIN+3";
    "variables are added to those of the system" =
      builtins.elem "container=docker" config.Env && lib.last config.Env == "A=1";
    "the config is the image's" = config.ExposedPorts == { "80/tcp" = { }; };
    "a toplevel makes the same image as its modules" =
      (again.override {
        config = {
          Env = [ "A=1" ];
          ExposedPorts."80/tcp" = { };
        };
        extraCommands = "touch mine";
      }).drvPath == image.drvPath;
  };
in
map (promise: "it does not hold that ${promise}") (
  builtins.filter (promise: !holds.${promise}) (builtins.attrNames holds)
)
