# An image from a registry as an OCI layout for `fromImage`, from a lock file that `nix-image lock`
# prints. Each blob is a separate fixed-output derivation by the registry's digest, so images share
# blobs, and layers stay compressed as they are in the registry.
{
  lib,
  cacert,
  credentials,
  nix-image,
  runCommand,
  writeText,
}:

{
  # The lock file, or its content as a set.
  lock,
  # Whether to check certificates and refuse plain HTTP.
  tlsVerify ? true,
  name ? null,
}:

let
  locked = if builtins.isAttrs lock then lock else builtins.fromJSON (builtins.readFile lock);
  version = locked.version or null;
  manifest = builtins.fromJSON locked.manifest;

  hex = digest: lib.removePrefix "sha256:" digest;
  fixName = builtins.replaceStrings [ "/" ":" ] [ "-" "-" ];

  blob =
    { digest, size, ... }:
    runCommand "blob-${builtins.substring 0 12 (hex digest)}"
      {
        outputHash = hex digest;
        outputHashAlgo = "sha256";
        outputHashMode = "flat";
        inherit (credentials) impureEnvVars;
        nativeBuildInputs = [ nix-image ];
        SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
      }
      ''
        nix-image pull ${
          lib.escapeShellArgs [
            "${locked.imageName}@${digest}"
            "-"
            "--blob-size=${toString size}"
            "--tls-verify=${lib.boolToString tlsVerify}"
          ]
        } 1<> $out
      '';

  # Keyed by digest, because an image may have a layer twice.
  blobs = builtins.listToAttrs (
    map (descriptor: {
      name = hex descriptor.digest;
      value = blob descriptor;
    }) ([ manifest.config ] ++ manifest.layers)
  );

  manifestHex = builtins.hashString "sha256" locked.manifest;
  index = {
    schemaVersion = 2;
    mediaType = "application/vnd.oci.image.index.v1+json";
    manifests = [
      {
        inherit (locked) mediaType;
        digest = "sha256:${manifestHex}";
        size = builtins.stringLength locked.manifest;
        platform = {
          architecture = locked.arch;
          inherit (locked) os;
        }
        // lib.optionalAttrs (locked ? variant) { inherit (locked) variant; };
        annotations = {
          "io.containerd.image.name" = "${locked.imageName}:${locked.imageTag}";
          "org.opencontainers.image.ref.name" = locked.imageTag;
        };
      }
    ];
  };
in
if version != 1 then
  throw "pullImageByDigest: `lock` has version ${builtins.toJSON version}, but this nix-image reads version 1; write it again with `nix-image lock IMAGE`"
else
  runCommand
    (if name != null then name else fixName "oci-image-${baseNameOf locked.imageName}-${locked.imageTag}")
    {
      inherit (locked) imageName imageTag imageDigest;
      passthru.blobs = blobs;
    }
    ''
      mkdir -p $out/blobs/sha256
      cd $out
      cp ${writeText "oci-layout" ''{"imageLayoutVersion":"1.0.0"}''} oci-layout
      cp ${writeText "index.json" (builtins.toJSON index)} index.json
      cp ${writeText "manifest.json" locked.manifest} blobs/sha256/${manifestHex}
      ${lib.concatMapStrings (hex: ''
        ln -s ${blobs.${hex}} blobs/sha256/${hex}
      '') (builtins.attrNames blobs)}
    ''
