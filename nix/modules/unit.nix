# The program that the module's units run.
{
  coreutils,
  gnugrep,
  nix-image,
  writeShellApplication,
}:

writeShellApplication {
  name = "nix-image-unit";
  # The units provide the engines' own programs.
  runtimeInputs = [
    coreutils
    gnugrep
    nix-image
  ];
  text = builtins.readFile ./unit.sh;
}
