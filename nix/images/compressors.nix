# The compressors that turn an image's stream into a file.
{
  pigz,
  runCommand,
  zstd,
}:

let
  compressors = {
    none = {
      extension = "";
      packages = [ ];
      command = "cat";
    };
    # No name or time in the header, and blocks that do not depend on each other, so that
    # the file is the same for any number of cores.
    gz = {
      extension = ".gz";
      packages = [ pigz ];
      command = "pigz -p$NIX_BUILD_CORES -nTR";
    };
    zstd = {
      extension = ".zst";
      packages = [ zstd ];
      command = "zstd -T$NIX_BUILD_CORES";
    };
  };

  # The compressor of that name. Throws a list of the existing ones if there is none.
  choose =
    image: compressor:
    compressors.${compressor} or (throw ''
      in docker image ${image}: compressor must be one of: [${toString (builtins.attrNames compressors)}]
      You wrote compressor = ${builtins.toJSON compressor}; write compressor = "zstd" for the fastest one with small files.'');
in
{
  inherit choose;

  compress =
    {
      stream,
      baseName,
      compressor,
      meta ? { },
    }:
    let
      chosen = choose baseName compressor;
    in
    runCommand "${baseName}.tar${chosen.extension}" {
      inherit (stream) imageName;
      passthru = stream.passthru // {
        inherit stream;
        # A file to load, not a program to run.
        isExe = false;
      };
      nativeBuildInputs = chosen.packages;
      inherit meta;
    } "${stream} | ${chosen.command} > $out";
}
