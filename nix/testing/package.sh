# shellcheck shell=bash disable=SC1091,SC2154 # variables and files of the build
# Makes a package from programs of the host: each is changed to use the loader and libraries in the
# store. This runs before any package exists, so the tools are called through the loader.
tool() {
  local name=$1
  shift
  "$loader" --library-path "$toolLibraries" "$tools/$name" "$@"
}

tool mkdir -p "$out/bin"
# Each line has a name, a file, and the search path of its libraries.
while read -r name file libraries; do
  tool cp "$file" "$out/bin/$name"
  tool chmod 755 "$out/bin/$name"
  if [[ -n "$libraries" ]]; then
    # DT_RPATH rather than DT_RUNPATH, because it also applies to the libraries' libraries.
    tool patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$out/bin/$name"
  fi
done < "$programsPath"
