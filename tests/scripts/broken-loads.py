# What a load leaves behind that fails: on a full disk, and in an engine that is restarted.

# It has many layers, so a load can be interrupted between them.
BROKEN = "hundred-layers"
LOAD = f"{nix_image} load {images[BROKEN]['confFile']} --engine {KIND}"
# Bytes that are left on the full disk: fewer than the image has.
LEFT = 2 << 20
# The output of a load. Its process ID and its exit status are in files next to it.
REPORT = "/tmp/broken-load"


def expect_loads():
    """Loads the image and runs it."""
    machine.succeed(LOAD)
    expect(len(started(BROKEN).splitlines()), 120)


unload_all()

with subtest("On a full disk a load fails, and leaves no image"):
    filler = f"{scratch}/filler"
    free, size = machine.succeed(f"stat --file-system --format='%a %S' {scratch}").split()
    # Most of it at once, then to the last block, including those that only root may use.
    most = max(int(free) * int(size) - (64 << 20), 0)
    machine.succeed(
        f"fallocate --length {most} {filler}",
        f"cat /dev/zero >> {filler} 2> /dev/null || true",
        f"truncate --size -{LEFT} {filler}",
    )
    try:
        said = machine.fail(f"{LOAD} 2>&1")
    finally:
        machine.succeed(f"rm {filler}")
    expect_in("no space left on device", said.lower())
    assert not has(reference(BROKEN)), said

with subtest("With space again, it loads and runs"):
    expect_loads()


def is_stopped_at(line):
    """Starts a load and stops it at a line with this. False if it had ended before."""
    if has(reference(BROKEN)):
        unload(reference(BROKEN))
    machine.succeed(f"""
        rm -f {REPORT}-status; : > {REPORT}
        (status=0
            sh -c 'echo $$ > {REPORT}-pid; exec "$@"' sh {LOAD} --progress lines > {REPORT} 2>&1 ||
                status=$?
            echo $status > {REPORT}-status) < /dev/null > /dev/null 2>&1 &
        until read -r line && [[ $line = *"{line}"* ]] || [ -e {REPORT}-status ]; do :; done < {REPORT}
        kill -STOP $(cat {REPORT}-pid) || true
    """)
    return machine.execute(f"cat {REPORT}-status")[0] != 0


def stop_a_load():
    """Stops a load after its first layer, or at its start if the engine has all layers still."""
    for _ in range(5):
        if is_stopped_at(" layer "):
            return
        if " layer " not in machine.succeed(f"cat {REPORT}"):
            break
    assert is_stopped_at("loading"), "no load was stopped before its end"


with subtest("After a restart of the engine in the middle of a load, the image loads and runs"):
    stop_a_load()
    boot = machine.succeed("cat /proc/sys/kernel/random/boot_id")
    machine.shutdown()
    machine.start()
    # Unless the machine was rebooted, the load is still there, with the locks that it holds.
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
