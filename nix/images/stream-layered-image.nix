# The image as a program that writes the docker-archive.
{
  lib,
  check,
  customisationLayer,
  layersOf,
  nix-image,
  program,
  runCommand,
  runtimeShell,
  stdenv,
  storeDir,
  writeText,
}:

let
  # A separate file, like nixpkgs' streamScript.
  streamScript = runCommand "stream" { } ''
    ln -s ${nix-image}/bin/stream-layered-image $out
  '';

  # The commands that have a program; `./result` also accepts them as its first argument.
  commands = [
    "inspect"
    "layers"
    "load"
    "push"
    "serve"
    "stream"
    "tree"
    "why"
    "write"
  ];

  stream =
    {
      name,
      tag ? null,
      fromImage ? null,
      contents ? [ ],
      config ? { },
      architecture ? stdenv.hostPlatform.go.GOARCH,
      created ? "1970-01-01T00:00:01Z",
      mtime ? "1970-01-01T00:00:01Z",
      uid ? 0,
      gid ? 0,
      uname ? "root",
      gname ? "root",
      maxLayers ? 100,
      extraCommands ? "",
      fakeRootCommands ? "",
      enableFakechroot ? false,
      includeStorePaths ? true,
      includeNixDB ? false,
      passthru ? { },
      meta ? { },
      # Directories whose files are in the root as they are, and the modes and owners of some:
      # { path, regex, mode, uid, gid, uname, gname }.
      copyToRoot ? [ ],
      perms ? [ ],
      # Separate layers below the others: { deps, copyToRoot, perms }.
      layers ? [ ],
      # With a pipeline, maxLayers has no effect; use its step limit_layers.
      layeringPipeline ? null,
      # { strategy, own, previous }: layouts that move less when the image is updated.
      layering ? { },
      # Shows the layers in the build's log.
      debug ? false,
    }:
    let
      baseName = baseNameOf name;

      # If the base image has a conf, nothing else is needed, and no archive is made of it.
      from =
        if fromImage == null then
          null
        else if fromImage ? conf && fromImage ? streamScript then
          "${fromImage.conf}"
        else
          "${fromImage}";

      baseJson = writeText "${baseName}-base.json" (
        builtins.toJSON {
          inherit architecture config;
          os = "linux";
        }
      );

      own = layersOf {
        inherit
          copyToRoot
          perms
          layers
          includeStorePaths
          ;
      };

      customisation = customisationLayer {
        databaseOf = own.deps;
        inherit
          baseName
          contents
          enableFakechroot
          extraCommands
          fakeRootCommands
          includeNixDB
          ;
      };

      # These two are in the graph because their references belong in the image, but they are
      # in no store layer themselves.
      roots = [
        baseJson
        customisation
      ];

      plan =
        if layeringPipeline == null then
          [
            "--strategy=${layering.strategy or "auto"}"
            # One layer is for the customisation layer.
            "--limit=${toString (maxLayers - 1)}"
          ]
          ++ map (path: "--own=${path}") (layering.own or [ ])
          ++ lib.optional (layering.previous or null != null) "--previous=${layering.previous}"
          ++ lib.optionals (from != null) [
            "--from-image=${from}"
            "--architecture=${architecture}"
          ]
        else
          [
            "--strategy=pipeline"
            "--pipeline=${
              if builtins.isList layeringPipeline then
                writeText "${baseName}-pipeline.json" (builtins.toJSON layeringPipeline)
              else
                layeringPipeline
            }"
          ];

      json = value: lib.escapeShellArg (builtins.toJSON value);

      conf =
        runCommand "${baseName}-conf.json"
          (
            {
              __structuredAttrs = true;
              exportReferencesGraph = {
                graph = lib.optionals includeStorePaths (roots ++ own.attributes.copyToRoot);
              }
              // own.graphs;
              imageName = lib.toLower name;
              inherit
                created
                gid
                gname
                mtime
                uid
                uname
                ;
              fromImage = from;
              preferLocalBuild = true;
              nativeBuildInputs = [ nix-image ];
            }
            // lib.optionalAttrs own.isUsed own.attributes
            // {
              passthru.architecture = architecture;
              passthru.config = config;
              passthru.fromImage = fromImage;
              passthru.imageTag =
                if tag != null then
                  tag
                else
                  builtins.head (
                    builtins.split "-" (baseNameOf (builtins.unsafeDiscardStringContext conf.outPath))
                  );
            }
          )
          ''
            imageTag=${if tag != null then tag else ''$(basename "$out" | cut -d - -f 1)''}

            # `now` means the moment of the stream, not of this build.
            timestamp() {
              if [[ "$1" == now ]]; then
                echo now
              else
                date -Iseconds -d "$1"
              fi
            }
            createdAt=$(timestamp "$created")
            modifiedAt=$(timestamp "$mtime")

            storeLayers=$(
              nix-image plan "$NIX_ATTRS_JSON_FILE" ${lib.escapeShellArgs plan} \
                ${lib.escapeShellArgs (map (root: "--exclude=${root}") roots)} \
                --nar-hashes=nar-hashes.json --references=references.json${
                  lib.optionalString own.isUsed " --layer-options=layer-options.json --store-dir=${storeDir}"
                }
            )
            ${lib.optionalString debug ''echo "layers: $storeLayers"''}

            # The base document without its closing brace, then the keys that nixpkgs adds, in
            # nixpkgs' order, and then those that nix-image adds.
            {
              head -c -1 ${baseJson}
              printf ',"%s":%s' \
                store_dir ${json storeDir} \
                from_image ${json from} \
                store_layers "$storeLayers" \
                customisation_layer ${json customisation} \
                repo_tag "\"$imageName:$imageTag\"" \
                created "\"$createdAt\"" \
                mtime "\"$modifiedAt\"" \
                uid ${json (toString uid)} \
                gid ${json (toString gid)} \
                uname ${json uname} \
                gname ${json gname} \
                ${lib.optionalString own.isUsed ''layer_options "$(cat layer-options.json)" ''}nar_hashes "$(cat nar-hashes.json)" \
                references "$(cat references.json)"
              echo '}'
            } > $out
          '';
    in
    runCommand "stream-${baseName}"
      {
        inherit conf streamScript;
        inherit (conf) imageName;
        preferLocalBuild = true;
        passthru =
          lib.genAttrs commands (
            command:
            program {
              inherit command name;
              arguments = "${conf}";
            }
          )
          // passthru
          // {
            inherit (conf) imageTag;
            inherit conf streamScript;
            # Tells a program from an archive.
            isExe = true;
          };
        inherit meta;
      }
      ''
        cat > $out <<'EOF'
        #!${runtimeShell}
        exec ${nix-image}/bin/stream-layered-image ${conf} "$@"
        EOF
        chmod +x $out
      '';

  known = builtins.functionArgs stream;
in
lib.makeOverridable (
  lib.setFunctionArgs (args: stream (check.streamLayeredImage (builtins.attrNames known) args)) known
)
