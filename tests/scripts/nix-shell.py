# Tests nix-shell images, with a subtest for each one of nixpkgs.


def shell(name, *command, options="--tty"):
    load(name)
    return run(name, *command, options=options)


with subtest("buildDerivation builds the derivation"):
    expect_in(
        "Built in the container",
        shell("shell-basic", "bash", "-c", 'buildDerivation && echo "$(<$out)"', options=""),
    )

with subtest("The shell hook runs"):
    expect_in("This is the shell hook!", shell("shell-hook"))

with subtest("Inputs are on the PATH"):
    expect_in("Hello from hello!", shell("shell-inputs"))

with subtest("passAsFile makes a file"):
    expect_in("this is a string", shell("shell-pass-as-file"))

with subtest("run is not interactive"):
    expect_in("This shell is not interactive", shell("shell-run"))

with subtest("command is interactive"):
    expect_in("This shell is interactive", shell("shell-command"))

with subtest("The home directory is writable"):
    expect(shell("shell-home"), "home is writable\n")

with subtest("The home directory can be one that does not exist"):
    expect(shell("shell-no-home"), "home does not exist\n")

with subtest("The shell can build"):
    expect_in("Built in the container", shell("shell-build"))

with subtest("buildNixShellImage makes a file of it"):
    expect_in("Built in the container", shell("shell-file"))
