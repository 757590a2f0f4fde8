# The image as a file, for use where a stream cannot be run.
{
  lib,
  compressors,
  streamLayeredImage,
}:

lib.makeOverridable (
  {
    name,
    compressor ? "gz",
    meta ? { },
    ...
  }@args:
  compressors.compress {
    inherit compressor meta;
    baseName = baseNameOf name;
    stream = streamLayeredImage (
      removeAttrs args [
        "compressor"
        "meta"
      ]
    );
  }
)
