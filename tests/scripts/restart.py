# Tests what remains after the machine was shut down and started again.

if engine == "ctr":
    load_hello = f"{archive('hello', [])} | ctr images import -"
    run_hello = f"ctr run --rm docker.io/library/{reference('hello')} restarted"
    list_images = "ctr images ls --quiet"
else:
    load_hello = f"{archive('hello', unpacks)} | {engine} load"
    run_hello = command_line("hello", [], "")
    list_images = f"{engine} images --no-trunc --format '{{{{.ID}}}} {{{{.Repository}}}}:{{{{.Tag}}}}'"

machine.succeed(load_hello)
before = sorted(machine.succeed(list_images).splitlines())
machine.shutdown()
machine.start()
machine.wait_until_succeeds(f"{engine} version")

with subtest("Images outlive a restart of the machine"):
    assert [line for line in before if reference("hello") in line], before
    expect(sorted(machine.succeed(list_images).splitlines()), before)

with subtest("After a restart, containers run"):
    expect(printed(run_hello), "Hello from hello!\n")

with subtest("After a restart, an image that is loaded again is the same"):
    machine.succeed(load_hello)
    expect(sorted(machine.succeed(list_images).splitlines()), before)
