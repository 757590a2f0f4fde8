# Images for several platforms under one name: a program that pushes their index.
{
  lib,
  check,
  program,
}:

let
  index =
    {
      name,
      tag ? null,
      # A list or set of images of these functions, each for another platform.
      images,
    }:
    let
      streams = map check.streamOf (
        if builtins.isList images then images else builtins.attrValues images
      );
      imageName = lib.toLower name;
      imageTag =
        if tag != null then
          tag
        else
          builtins.substring 0 32 (
            builtins.hashString "sha256" (
              toString (map (image: builtins.unsafeDiscardStringContext image.conf.outPath) streams)
            )
          );

      # Without a reference, `push` takes the names of the confs, so each gets this one.
      confs = map (
        image:
        (image.override {
          inherit name;
          tag = imageTag;
        }).conf
      ) streams;

      push = program {
        command = "push";
        inherit name;
        arguments = builtins.concatStringsSep " --platform-conf " (map toString confs);
      };
    in
    push
    // {
      inherit
        imageName
        imageTag
        images
        push
        ;
    };

  known = builtins.functionArgs index;
in
lib.makeOverridable (
  lib.setFunctionArgs (args: index (check.multiArch (builtins.attrNames known) args)) known
)
