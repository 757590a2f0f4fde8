# shellcheck shell=bash disable=SC1091,SC2154 # variables and files of the build
# What a build finds, as far as the image functions and a nix-shell need it.
# Sourced by the builder, and again by fakeRootCommands and in nix-shell images.
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
