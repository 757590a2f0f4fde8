# Images for several platforms under one name: programs that push and write their index.
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
      # A list or set of images made by these functions, each for another platform.
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

      # Without a reference, the programs use the name in the confs, so each conf gets this one.
      confs = map (
        image:
        (image.override {
          inherit name;
          tag = imageTag;
        }).conf
      ) streams;

      programOf =
        command:
        program {
          inherit command name;
          arguments = builtins.concatStringsSep " --platform-conf " (map toString confs);
        };
      push = programOf "push";
      write = programOf "write";
    in
    push
    // {
      inherit
        imageName
        imageTag
        images
        push
        write
        ;
    };

  known = builtins.functionArgs index;
in
lib.makeOverridable (
  lib.setFunctionArgs (args: index (check.multiArch (builtins.attrNames known) args)) known
)
