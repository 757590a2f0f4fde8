# containerd without an engine around it, as on Kubernetes nodes.

for name in ["hello", "on-top", "not-root", "owned-in-chroot", "hundred-layers"]:
    with subtest(f"containerd imports {name} and runs it"):
        machine.succeed(f"{archive(name, [])} | ctr images import -")
        full = f"docker.io/library/{reference(name)}"
        said = printed(f"ctr run --rm {full} test-{name}")
        expect(
            said.splitlines()[0],
            {
                "hello": "Hello from hello!",
                "on-top": "hello",
                "not-root": "1000:1000",
                "owned-in-chroot": "Hello from hello!",
                "hundred-layers": "Hello from hello-0!",
            }[name],
        )
