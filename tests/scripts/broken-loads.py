# What a load leaves that is broken off: by a full disk, and by an engine that is restarted.

# Of many layers, so that there is something to break off.
BROKEN = "hundred-layers"
LOAD = f"{nix_image} load {images[BROKEN]['confFile']} --engine {KIND}"
# Bytes that the engine may still write on the full disk: less than the image has.
LEFT = 2 << 20
# What the load says; beside it are its process ID and its exit status.
REPORT = "/tmp/broken-load"


def expect_loads():
    """Loads the image as if nothing had happened, and runs it."""
    machine.succeed(LOAD)
    expect(len(started(BROKEN).splitlines()), 120)


if has(reference(BROKEN)):
    unload(reference(BROKEN))
if engine != "ctr":
    machine.succeed(f"{engine} image prune --all --force")

with subtest("On a full disk a load fails, and leaves no image"):
    # Those blocks as well that only root gets.
    free, size = machine.succeed(f"stat --file-system --format='%f %S' {scratch}").split()
    filler = f"{scratch}/filler"
    machine.succeed(f"fallocate --length {int(free) * int(size) - LEFT} {filler}")
    try:
        said = machine.fail(f"{LOAD} 2>&1")
    finally:
        machine.succeed(f"rm {filler}")
    expect_in("no space left on device", said.lower())
    assert not has(reference(BROKEN)), said

with subtest("With space again, it loads and runs"):
    expect_loads()



def stop_a_load():
    """Starts a load and stops it after its first layer. Whether that was before its end."""
    if has(reference(BROKEN)):
        unload(reference(BROKEN))
    machine.succeed(f"""
        rm -f {REPORT}-status; : > {REPORT}
        (sh -c 'echo $$ > {REPORT}-pid; exec "$@"' sh {LOAD} --progress lines > {REPORT} 2>&1
            echo $? > {REPORT}-status) < /dev/null > /dev/null 2>&1 &
        until read -r line && [[ $line = "sent layer"* ]] || [ -e {REPORT}-status ]; do :; done < {REPORT}
        kill -STOP $(cat {REPORT}-pid) || true
    """)
    return machine.execute(f"cat {REPORT}-status")[0] != 0


with subtest("After a restart of the engine in the middle of a load, the image loads and runs"):
    # Some are quick.
    assert any(stop_a_load() for _ in range(20)), "no load was stopped before its end"
    boot = machine.succeed("cat /proc/sys/kernel/random/boot_id")
    machine.shutdown()
    machine.start()
    # Where the machine stayed up, so did the load, with the locks that it holds.
    stayed = machine.succeed("cat /proc/sys/kernel/random/boot_id") == boot
    if stayed:
        machine.succeed(f"kill -CONT $(cat {REPORT}-pid)")
    machine.wait_until_succeeds(f"{engine} version")
    if stayed:
        status = machine.wait_until_succeeds(f"cat {REPORT}-status").strip()
        said = machine.succeed(f"cat {REPORT}")
        assert (status == "0") == has(reference(BROKEN)), f"{status}: {said}"
    expect_loads()
    machine.succeed(f"rm -f {REPORT} {REPORT}-pid {REPORT}-status")
