# An image of one layer, as a file: nixpkgs' buildImage, without rsync, jq and jshon, and
# without a virtual machine.
#
# `copyToRoot` is copied into the root, which runAsRoot and extraCommands may change. The layer
# is the files of the root and the closure of what they refer to.
{
  lib,
  # nixpkgs' buildImage, for runAsRootInVM; null without nixpkgs.
  buildImageInVM,
  check,
  compressors,
  nix-image,
  nixDatabase,
  program,
  rootLayer,
  runCommand,
  stdenv,
  storeDir,
  writeText,
}:

let
  # The commands of nix-image that work on an archive.
  commands = [
    "inspect"
    "load"
    "push"
    "serve"
    "tree"
    "why"
    "write"
  ];

  programs =
    image: name:
    lib.genAttrs commands (
      command:
      program {
        inherit command name;
        arguments = "${image}";
      }
    );

  buildImage =
    {
      name,
      tag ? null,
      fromImage ? null,
      # No effect, as in nixpkgs: the base is always the archive's first image.
      fromImageName ? null,
      fromImageTag ? null,
      copyToRoot ? null,
      keepContentsDirlinks ? false,
      config ? null,
      architecture ? stdenv.hostPlatform.go.GOARCH,
      extraCommands ? "",
      uid ? 0,
      gid ? 0,
      runAsRoot ? null,
      # Whether nixpkgs' function makes the image, in a virtual machine of this size.
      runAsRootInVM ? false,
      diskSize ? 1024,
      buildVMMemorySize ? 512,
      created ? "1970-01-01T00:00:01Z",
      compressor ? "gz",
      includeNixDB ? false,
      # The old name of copyToRoot.
      contents ? null,
      meta ? { },
    }@args:
    let
      baseName = baseNameOf name;
      imageName = lib.toLower name;
      chosen = compressors.choose baseName compressor;
      base = if fromImage == null then null else check.archiveOrConf fromImage;

      rootContents = if copyToRoot == null then contents else copyToRoot;
      items =
        if rootContents == null then
          [ ]
        else if builtins.isList rootContents then
          rootContents
        else
          [ rootContents ];

      description =
        let
          file = "${baseName}-config.json";
          parts = {
            start = builtins.toJSON { inherit architecture config; };
            end = builtins.toJSON {
              os = "linux";
              preferLocalBuild = true;
            };
          };
        in
        if created == "now" then
          runCommand file
            {
              inherit (parts) start end;
              passAsFile = [ "start" ];
              preferLocalBuild = true;
            }
            ''
              # The moment of this build, between the keys that sort before it and after it.
              {
                head -c -1 "$startPath"
                printf ',"created":"%s",%s' "$(TZ=UTC date -Iseconds)" "''${end:1}"
              } > $out
            ''
        else
          writeText file (
            builtins.toJSON {
              inherit architecture config created;
              os = "linux";
              preferLocalBuild = true;
            }
          );

      allExtraCommands = lib.optionalString includeNixDB (nixDatabase items) + extraCommands;

      pureLayer =
        runCommand "docker-layer-${baseName}"
          {
            contents = items;
            baseJson = description;
            extraCommands = allExtraCommands;
            nativeBuildInputs = [ nix-image ];
          }
          ''
            mkdir layer
            nix-image build-image copy ${lib.optionalString keepContentsDirlinks "--keep-dirlinks"} layer $contents
            chmod ug+w layer

            if [[ -n "$extraCommands" ]]; then
              (cd layer; eval "$extraCommands")
            fi

            # A tarball, because Nix would normalise the modes that the commands have set.
            nix-image build-image layer \
              --config "$baseJson" \
              --uid ${toString uid} \
              --gid ${toString gid} \
              --mtime "$SOURCE_DATE_EPOCH" \
              layer $out
          '';

      layer =
        if runAsRoot == null then
          pureLayer
        else
          # Owners are as the commands leave them; uid and gid have no effect.
          rootLayer {
            inherit
              baseName
              description
              keepContentsDirlinks
              name
              runAsRoot
              ;
            contents = items;
            extraCommands = allExtraCommands;
            fromImage = base;
          };

      result =
        runCommand "docker-image-${baseName}.tar${chosen.extension}"
          {
            __structuredAttrs = true;
            exportReferencesGraph.graph = [ layer ];
            inherit imageName;
            nativeBuildInputs = [ nix-image ] ++ chosen.packages;
            passthru = programs result name // {
              buildArgs = args;
              inherit layer;
              imageTag =
                if tag != null then
                  tag
                else
                  builtins.head (
                    builtins.split "-" (baseNameOf (builtins.unsafeDiscardStringContext result.outPath))
                  );
            };
            inherit meta;
          }
          ''
            imageTag=${if tag != null then tag else ''$(basename "$out" | cut -d - -f 1)''}

            nix-image build-image archive ${layer} \
              --closure "$NIX_ATTRS_JSON_FILE" \
              --config ${description} \
              --name "$imageName" \
              --tag "$imageTag" \
              --mtime "$SOURCE_DATE_EPOCH" \
              --store-dir ${storeDir} \
              ${lib.optionalString (base != null) "--from-image ${base} --architecture ${architecture}"} \
              | ${chosen.command} > $out
          '';
    in
    if runAsRoot == null || !runAsRootInVM then
      result
    else if buildImageInVM != null then
      buildImageInVM (removeAttrs args [ "runAsRootInVM" ])
    else
      throw "in docker image ${name}: runAsRootInVM needs nixpkgs' virtual machine, which is not available here: use the overlay, or leave it out";

  known = builtins.functionArgs buildImage;
in
lib.makeOverridable (
  lib.setFunctionArgs (args: buildImage (check.buildImage (builtins.attrNames known) args)) known
)
