# shellcheck shell=bash disable=SC1091,SC2154 # variables and files of the build
# The parts of stdenv's setup that the image functions and a nix-shell need. Sourced by the builder,
# by fakeRootCommands and in nix-shell images.
set -eo pipefail

export PATH=
for package in $nativeBuildInputs $buildInputs $initialPath; do
  PATH=$PATH${PATH:+:}$package/bin
done

export SOURCE_DATE_EPOCH=315532800
export TZ=UTC

runHook() {
  eval "${!1-}"
}
