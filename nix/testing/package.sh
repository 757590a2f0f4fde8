# shellcheck shell=bash disable=SC1091,SC2154 # variables and files of the build
# Makes a package of programs of the host: each gets the loader and the
# libraries of the store. Runs before there is any package, so the tools are
# called through the loader.
tool() {
  local name=$1
  shift
  "$loader" --library-path "$toolLibraries" "$tools/$name" "$@"
}

tool mkdir -p "$out/bin"
# Lines of: name, file, where its libraries are.
while read -r name file libraries; do
  tool cp "$file" "$out/bin/$name"
  tool chmod 755 "$out/bin/$name"
  if [[ -n "$libraries" ]]; then
    # DT_RPATH rather than DT_RUNPATH: it also holds for the libraries' libraries.
    tool patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$out/bin/$name"
  fi
done < "$programsPath"
