# A package whose program runs a command of nix-image on an image:
# `nix run .#image.push -- registry/app:1`
{
  nix-image,
  runCommand,
  runtimeShell,
}:

{
  command,
  # The image's name, and the arguments that the program puts before its own.
  name,
  arguments,
}:
let
  program = "${command}-${baseNameOf name}";
in
runCommand program
  {
    preferLocalBuild = true;
    meta = {
      mainProgram = program;
      description = "Run nix-image ${command} on the image ${name}";
    };
  }
  ''
    mkdir -p $out/bin
    cat > $out/bin/${program} <<'EOF'
    #!${runtimeShell}
    exec ${nix-image}/bin/nix-image ${command} ${arguments} "$@"
    EOF
    chmod +x $out/bin/${program}
  ''
