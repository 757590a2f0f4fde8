# The image as a file, for those who cannot run a stream.
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
