# shellcheck shell=bash
# The program of the NixOS module's units.
#
#   add ENGINE NAMESPACE NAME CONF  makes sure that the engine has the image
#   clean ENGINE WANTED             removes what an earlier generation added; the file WANTED has
#                                   a line "NAMESPACE NAME CONF" for each image of this generation
#
# ENGINE is docker, podman, containerd, k3s, or store: the directory NIX_IMAGE_STORE, which podman,
# buildah and CRI-O read. NAMESPACE is containerd's, or "-" for other engines.
#
# What was added is recorded in STATE_DIRECTORY, in a file for each image with the lines namespace,
# name, ID and conf. An image without a record was not added by this module and is never removed.

command=$1 engine=$2
shift 2
state=${STATE_DIRECTORY:?must be set}/state/$engine
mkdir -p "$state"

# The name in the engine's own spelling.
full_name() {
  local registry=${name%%/*} user=library/
  if [[ $name == */* ]]; then
    user=
    if [[ $registry == *[.:]* || $registry == localhost ]]; then
      echo "$name"
      return
    fi
  fi
  case $engine in
    docker) echo "$name" ;;
    podman | store) echo "localhost/$name" ;;
    containerd | k3s) echo "docker.io/$user$name" ;;
  esac
}

# The ID of the image that has the name now, or nothing. Fails if the engine does not answer.
current_id() {
  local full reference digest
  full=$(full_name)
  case $engine in
    docker) docker image ls --quiet --no-trunc --filter "reference=$full" ;;
    # `podman image exists` would report a podman that does not work like a missing image.
    podman)
      podman image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.Id}}' |
        while read -r reference digest; do
          if [[ $reference == "$full" ]]; then echo "${digest#sha256:}"; fi
        done
      ;;
    containerd | k3s)
      ctr images ls "name==$full" | while read -r reference _ digest _; do
        if [[ $reference == "$full" ]]; then echo "$digest"; fi
      done
      ;;
  esac
}

# The path, without its suffix, of the record of a name, or of a name with an ID.
file_of() {
  local key
  key=$(printf '%s\n' "$namespace" "$name" "$@" | sha256sum)
  echo "$state/${key:0:32}"
}

record() {
  local file
  file=$(file_of "$1")
  printf '%s\n' "$namespace" "$name" "$1" "$conf" > "$file.new"
  mv "$file.new" "$file.image"
}

read_record() {
  local lines
  mapfile -t lines < "$1"
  namespace=${lines[0]} name=${lines[1]} id=${lines[2]} conf=${lines[3]}
  export CONTAINERD_NAMESPACE=$namespace
}

# A k3s agent counts as started before its containerd is.
wait_for_containerd() {
  local tries=120
  until [[ -S $CONTAINERD_ADDRESS ]]; do
    if ! ((tries--)); then
      echo "$engine has no socket at $CONTAINERD_ADDRESS after two minutes; is it running?" >&2
      exit 1
    fi
    sleep 1
  done
}

add() {
  namespace=$1 name=$2 conf=$3
  export CONTAINERD_NAMESPACE=$namespace
  if [[ $engine == store ]]; then add_to_store; else load; fi
}

# Nothing else writes there, so every image in it belongs to this module.
add_to_store() {
  nix-image store add "$NIX_IMAGE_STORE" "$conf"
  if ! [[ $(nix-image inspect "$conf") =~ \"Id\":\ *\"sha256:([0-9a-f]{64})\" ]]; then
    echo "nix-image inspect $conf shows no ID" >&2
    exit 1
  fi
  record "${BASH_REMATCH[1]}"
}

load() {
  local before after file started
  if [[ $engine == containerd || $engine == k3s ]]; then wait_for_containerd; fi
  before=$(current_id)
  file=$(file_of "$before").image
  if [[ -e $file ]]; then
    local wanted=$conf
    read_record "$file"
    if [[ $conf == "$wanted" ]]; then
      echo "$engine already has $name"
      return
    fi
    conf=$wanted
  fi

  # If the unit is killed between the load and the record, this file stays, and so the next run knows
  # that the image is its own.
  started=$(file_of).started
  if ! [[ -e $started ]]; then
    echo "$before" > "$started"
  fi
  before=$(< "$started")
  if ! nix-image load "$conf" --engine "${engine/k3s/containerd}"; then
    rm "$started"
    exit 1
  fi
  after=$(current_id)
  if [[ -z $after ]]; then
    echo "$engine does not list $name after loading it" >&2
    exit 1
  fi
  # The image may have been there before, without this module.
  if [[ $after != "$before" || -e $file ]]; then record "$after"; fi
  rm "$started"
}

# Whether this generation has the name, whatever its image.
is_wanted_name() {
  grep --quiet --fixed-strings -- "|$namespace $name " <(sed 's/^/|/' "$wanted")
}

clean() {
  local wanted=$1 namespace name id conf file current
  for file in "$state"/*.image; do
    if ! [[ -e $file ]]; then continue; fi
    read_record "$file"
    if grep --quiet --line-regexp --fixed-strings -- "$namespace $name $conf" "$wanted"; then
      continue
    fi
    if [[ $engine == store ]]; then
      remove_from_store
      continue
    fi
    current=$(current_id)
    if [[ $current != "$id" ]]; then
      remove_nameless
    elif ! is_wanted_name; then
      remove_name
    fi
  done
  if [[ $engine == store ]]; then collect; fi
}

# If the engine's own command refuses, the image stays, for instance because a container uses it.
try_to_remove() {
  local said
  if said=$("$@" 2>&1); then
    rm "$file"
    echo "removed $name ($id) from $engine"
  else
    echo "left $name ($id) in $engine, will try again: ${said//$'\n'/ }"
  fi
}

remove_name() {
  local full
  full=$(full_name)
  case $engine in
    docker | podman) try_to_remove "$engine" rmi "$full" ;;
    containerd | k3s)
      if is_used_in_containerd "$full"; then
        echo "left $name ($id) in $engine, will try again: a container uses it"
      else
        try_to_remove ctr images rm "$full"
        remove_aliases
      fi
      ;;
  esac
}

# The name now belongs to another image, or was removed.
remove_nameless() {
  local names
  case $engine in
    docker | podman)
      if names=$("$engine" image inspect --format '{{len .RepoTags}}' "$id" 2> /dev/null); then
        if [[ $names == 0 ]]; then
          try_to_remove "$engine" rmi "$id"
          return
        fi
      fi
      ;;
    containerd | k3s) remove_aliases ;;
  esac
  rm -f "$file"
}

is_used_in_containerd() {
  local containers image
  containers=$(ctr containers ls) || exit 1
  while read -r _ image _; do
    if [[ $image == "$1" || $image == "$id" ]]; then return 0; fi
  done <<< "$containers"
  return 1
}

# Kubernetes gives an image its ID as an additional name, which would keep the image.
remove_aliases() {
  local aliases alias
  mapfile -t aliases < <(ctr images ls --quiet "target.digest==$id")
  for alias in "${aliases[@]}"; do
    if [[ $alias != sha256:* ]]; then return; fi
  done
  for alias in "${aliases[@]}"; do ctr images rm "$alias" > /dev/null; done
}

remove_from_store() {
  local other lines
  if is_used_by_podman; then
    echo "left $name ($id) in $NIX_IMAGE_STORE, will try again: a container uses it"
    return
  fi
  # An image of another name may have the same ID.
  for other in "$state"/*.image; do
    mapfile -t lines < "$other"
    if [[ $other != "$file" && ${lines[2]} == "$id" ]]; then
      if is_wanted_name; then
        rm "$file"
      else
        try_to_remove nix-image store remove "$NIX_IMAGE_STORE" "$(full_name)"
      fi
      return
    fi
  done
  try_to_remove nix-image store remove "$NIX_IMAGE_STORE" "$id"
}

# Sees root's containers, including those of buildah and CRI-O.
is_used_by_podman() {
  local images image
  if ! command -v podman > /dev/null; then return 1; fi
  images=$(podman ps --all --external --no-trunc --format '{{.ImageID}}') || exit 1
  while read -r image; do
    if [[ $image == "$id" ]]; then return 0; fi
  done <<< "$images"
  return 1
}

# Layers that are mounted stay, like those of running containers.
collect() {
  nix-image store gc "$NIX_IMAGE_STORE"
  if grep --quiet --no-messages --fixed-strings "$NIX_IMAGE_STORE/" /proc/[0-9]*/mountinfo; then
    # Without a file in the directory, systemd would skip the next run.
    touch "$state/may-have-unused-layers"
  else
    rm -f "$state/may-have-unused-layers"
  fi
}

case $command in
  add) add "$@" ;;
  clean) clean "$@" ;;
esac
