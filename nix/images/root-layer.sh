# shellcheck shell=bash disable=SC2154 # variables of the build
# Makes the layer of an image whose commands run as root; see root-layer.nix. fakeroot runs this, so
# all files here belong to root until their owner is changed.
set -o pipefail

# The kernel refuses to change the owner to users that do not exist in the build.
export FAKEROOTDONTTRYCHOWN=1
umask 022

# The root that the commands see: the base image with the files of copyToRoot on top.
mkdir root copied
if [[ -n "$contents" ]]; then
  # shellcheck disable=SC2086 # one word per path
  nix-image build-image copy $keepDirlinks copied $contents
  chmod ug+w copied
fi
tar -cf copied.tar -C copied .
if [[ -n "$fromImage" ]]; then
  nix-image build-image root "$fromImage" copied.tar
else
  cat copied.tar
fi | tar -xp --numeric-owner -C root
rm copied.tar

# The places where this machine's devices, processes and store are mounted. Directories created for
# them are removed again.
shown=(/dev /proc "$storeDir")
[[ ! -d /sys ]] || shown+=(/sys)
made=()
for place in "${shown[@]}"; do
  while [[ -n $place ]]; do
    if [[ -L root$place ]]; then
      echo "in docker image $image: runAsRoot needs the directory $place, which is a link in the root" >&2
      exit 1
    fi
    [[ -e root$place ]] || made+=("root$place")
    place=${place%/*}
  done
done
for place in "${shown[@]}" /tmp; do
  mkdir -p "root$place"
done

runInNamespaces() {
  # As in nixpkgs' virtual machine, there is no network, and what still runs or is mounted at the
  # end is stopped or unmounted. Only fakeroot's messages need the same IPC namespace.
  # shellcheck disable=SC2016 # the inner shell's variables
  unshare --mount --net --uts --pid --fork "$shell" -ec '
    for place in "$@"; do
      if [[ $place == /proc ]]; then
        mount -t proc proc root/proc
      else
        mount --rbind "$place" "root$place"
      fi
    done
    # In the sandbox, each store path is a mount. If Nix has no build users, the paths belong to
    # this user, who could write to them.
    store=$(pwd -P)/root$storeDir
    while read -r _ _ _ _ place _; do
      if [[ $place/ == "$store"/* && -w $place ]]; then
        mount -o remount,bind,ro "$place"
      fi
    done < /proc/self/mountinfo
    exec chroot root "$shell" "$commands"
  ' - "${shown[@]}"
}

runInProot() {
  local binds=() result
  for place in "${shown[@]}"; do
    binds+=("--bind=$place/:$place/!")
  done
  # proot waits for all processes that the commands have started, until a signal makes it end them.
  # Its own messages matter only if it cannot run the commands. fakeroot must not be in proot itself:
  # a process that proot has stopped may hold the lock of fakeroot, which proot would wait for.
  exec 4>&1 5>&2
  # shellcheck disable=SC2016 # the inner shell's variables
  exec 3< <(exec env -u LD_PRELOAD proot -r "$PWD/root" "${binds[@]}" --pwd=/ "$shell" \
    -c 'LD_PRELOAD=$1 "$shell" "$commands" >&4 2>&5 4>&- 5>&-; echo $?' - "$LD_PRELOAD" 2> proot.log)
  read -r result <&3 || {
    cat proot.log >&2
    result=1
  }
  kill -QUIT $! 2> /dev/null || :
  wait $! || :
  return "$result"
}

status=0
(
  export NIX_BUILD_TOP=/tmp TMPDIR=/tmp TEMPDIR=/tmp TMP=/tmp TEMP=/tmp
  if [[ $way == namespaces ]]; then runInNamespaces; else runInProot; fi
) || status=$?
if [[ $status != 0 ]]; then
  echo "in docker image $image: runAsRoot ended with exit status $status" >&2
  echo "hint: without a virtual machine, no disk can be mounted, devices that the commands create" \
    "cannot be used, and programs of another libc than nixpkgs' may fail; if this is the cause," \
    "write runAsRootInVM = true" >&2
  exit "$status"
fi
for place in "${made[@]}"; do
  [[ ! -d $place ]] || rmdir --ignore-fail-on-non-empty "$place"
done

# The layer is what has changed. The commands below see nothing else.
if [[ -n "$fromImage" ]]; then
  mkdir layer
  tar -cf tree.tar -C root .
  nix-image build-image changes "$fromImage" tree.tar | tar -xp --numeric-owner -C layer
  rm -r tree.tar root
else
  mv root layer
fi
(cd layer && eval "$extraCommands")
tar --sort=name -cf layer.tar -C layer .
nix-image build-image layer --config "$baseJson" --mtime "$SOURCE_DATE_EPOCH" layer.tar "$out"
