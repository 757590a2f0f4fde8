# A system in a container: systemd is its first process.

with subtest("The image says how its system is started and stopped"):
    load("machine")
    config = inspect("machine")["Config"]
    expect(config["Cmd"], ["/sbin/init"])
    expect(config["StopSignal"].removeprefix("SIG"), "RTMIN+3")

with subtest("systemd starts the system's services"):
    # podman recognizes systemd, and gives it what it needs.
    machine.succeed(f"{engine} run --detach --network none --name machine {reference('machine')}")
    ask = f"{engine} exec machine /bin/sh -c 'read line < /run/hello; echo $line'"
    expect(machine.wait_until_succeeds(ask), "started\n")

with subtest("It ends when it is stopped, without being killed"):
    machine.succeed(f"{engine} stop --time 30 machine")
    state = machine.succeed(engine + " inspect --format '{{.State.ExitCode}}' machine").strip()
    assert state != "137", state
    machine.succeed(f"{engine} rm machine")
