# Checks the arguments of multiArch.
{
  lib,
  any,
  common,
  rule,
  show,
}:

let
  inherit (builtins)
    concatStringsSep
    filter
    head
    isAttrs
    isList
    ;

  # An archive made by nix-image has its stream as an attribute. (A stream's `stream` is a program.)
  streamOf = image: if isAttrs image && !image.isExe or false then image.stream or image else image;
  isOurs =
    image:
    let
      stream = streamOf image;
    in
    isAttrs stream && stream ? conf.architecture && stream ? override;

  isImages = images: isList images || isAttrs images && !images ? outPath;
  writeImages = "write images = { amd64 = app; arm64 = appForArm; }";

  # The images of an index, each with its name in messages.
  members =
    images:
    if isList images then
      builtins.genList (number: {
        what = "number ${toString (number + 1)} of images";
        image = builtins.elemAt images number;
      }) (builtins.length images)
    else
      lib.mapAttrsToList (name: image: {
        what = "images.${name}";
        inherit image;
      }) images;
in
{
  inherit streamOf;

  rules = {
    inherit (common) tag;
    images = rule isImages "a list or set of images: ${writeImages}";
  };
  elsewhere =
    any
      [
        "architecture"
        "config"
        "contents"
        "created"
        "fromImage"
      ]
      "it is an argument of each of the images";
  problems =
    { images ? null, ... }:
    let
      all = members images;
      strangers = filter (member: !isOurs member.image) all;
      platform = member: "linux/${(streamOf member.image).conf.architecture}";
      repeated = filter (same: builtins.length same > 1) (
        builtins.attrValues (builtins.groupBy platform all)
      );
    in
    if images == null || images == [ ] || images == { } then
      [ "an index needs images: ${writeImages}" ]
    # The rule above has reported it.
    else if !isImages images then
      [ ]
    else
      map (
        member:
        "${member.what} must be an image made by streamLayeredImage or buildLayeredImage of nix-image; you wrote ${show member.image}"
      ) strangers
      ++ lib.optionals (strangers == [ ]) (
        map (
          same:
          "${concatStringsSep " and " (map (member: member.what) same)} are for ${platform (head same)}, but an index has only one image for each platform: build the others from another package set, such as pkgsCross.aarch64-multiplatform"
        ) repeated
      );
}
