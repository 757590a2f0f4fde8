# shellcheck shell=bash disable=SC1091,SC2154 # variables and files of the build
# With structured attributes the variables are in a file. Old versions of Nix give its path outside
# the sandbox; inside, it is in the working directory.
if [[ -e .attrs.sh ]]; then
  export NIX_ATTRS_SH_FILE=$PWD/.attrs.sh NIX_ATTRS_JSON_FILE=$PWD/.attrs.json
  source .attrs.sh
  nativeBuildInputs=${nativeBuildInputs[*]}
  for output in "${!outputs[@]}"; do
    export "$output=${outputs[$output]}"
  done
fi
source "$stdenv/setup"
eval "$buildCommand"
