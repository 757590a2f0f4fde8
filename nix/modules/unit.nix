# The program that the module's units run.
{
  coreutils,
  gnugrep,
  nix-image,
  writeShellApplication,
}:

writeShellApplication {
  name = "nix-image-unit";
  # The engines' own programs come from the units.
  runtimeInputs = [
    coreutils
    gnugrep
    nix-image
  ];
  text = builtins.readFile ./unit.sh;
}
