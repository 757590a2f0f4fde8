# multiArch makes one program from images, in the order of the images and under one name, whatever
# the images' own names are and however they are given.
{ pkgs }:

let
  inherit (pkgs) lib;
  inherit (pkgs.dockerTools)
    buildLayeredImage
    buildNixShellImage
    multiArch
    streamLayeredImage
    streamNixShellImage
    ;

  arguments = architecture: {
    name = "app-for-${architecture}";
    inherit architecture;
  };
  image = architecture: streamLayeredImage (arguments architecture);
  conf =
    architecture:
    builtins.unsafeDiscardStringContext (streamLayeredImage {
      name = "Team/App";
      tag = "1";
      inherit architecture;
    }).conf.outPath;

  index = multiArch {
    name = "Team/App";
    tag = "1";
    images = [
      (image "arm64")
      (image "amd64")
    ];
  };
  untagged =
    image:
    multiArch {
      name = "app";
      images = [ image ];
    };

  holds = {
    "the images are pushed in the order of a list" =
      lib.hasInfix "push ${conf "arm64"} --platform-conf ${conf "amd64"} " index.buildCommand;
    "they are written in the same order" = lib.hasInfix (
      "write ${conf "arm64"} --platform-conf ${conf "amd64"} "
    ) index.write.buildCommand;
    "the images are pushed in the order of a set's names" =
      (index.override {
        images = {
          b = image "amd64";
          a = image "arm64";
        };
      }).drvPath == index.drvPath;
    "an archive counts as its stream" =
      (index.override {
        images = [
          (buildLayeredImage (arguments "arm64"))
          (image "amd64")
        ];
      }).drvPath == index.drvPath;
    "a shell's archive counts as its stream" =
      (untagged (buildNixShellImage { drv = pkgs.hello; })).drvPath
      == (untagged (streamNixShellImage { drv = pkgs.hello; })).drvPath;
    "push is the package itself" = index.push.drvPath == index.drvPath;
    "the programs are named after the image" =
      index.meta.mainProgram == "push-App" && index.write.meta.mainProgram == "write-App";
    "the name is in lower case" = index.imageName == "team/app";
    "the tag is the one given" = index.imageTag == "1";
    "without a tag, it is a hash" =
      builtins.match "[0-9a-f]{32}" (untagged (image "amd64")).imageTag != null;
    "that hash changes with the images" =
      (untagged (image "amd64")).imageTag != (untagged (image "arm64")).imageTag;
  };
in
map (promise: "it does not hold that ${promise}") (
  builtins.filter (promise: !holds.${promise}) (builtins.attrNames holds)
)
