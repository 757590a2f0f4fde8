# dockerTools with our functions, for a package set without the overlay.
pkgs: (pkgs.extend (import ./overlay.nix)).dockerTools
