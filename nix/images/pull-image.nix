# nixpkgs' pullImage: an image from a registry as a docker-archive, by the hash of the archive. The
# archive is byte for byte skopeo's, so nixpkgs' hashes are valid here.
{
  lib,
  cacert,
  credentials,
  nix-image,
  runCommand,
  stdenv,
}:

let
  fixName = builtins.replaceStrings [ "/" ":" ] [ "-" "-" ];
in
lib.fetchers.withNormalizedHash { } (
  {
    imageName,
    # `nix-image prefetch` prints it, with the hash.
    imageDigest,
    outputHash,
    outputHashAlgo,
    os ? "linux",
    arch ? stdenv.hostPlatform.go.GOARCH,
    # The image's name and tag in the archive.
    finalImageName ? imageName,
    finalImageTag ? "latest",
    # Whether to check certificates and refuse plain HTTP.
    tlsVerify ? true,
    name ? fixName "docker-image-${finalImageName}-${finalImageTag}.tar",
  }:
  runCommand name
    {
      inherit imageDigest outputHash outputHashAlgo;
      outputHashMode = "flat";
      imageName = finalImageName;
      imageTag = finalImageTag;
      sourceURL = "docker://${imageName}@${imageDigest}";
      destNameTag = "${finalImageName}:${finalImageTag}";
      inherit (credentials) impureEnvVars;
      nativeBuildInputs = [ nix-image ];
      SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
    }
    # Through standard output: an archive written by name would first be a temporary file in the store.
    ''
      nix-image pull ${
        lib.escapeShellArgs [
          "${imageName}@${imageDigest}"
          "-"
          "--os=${os}"
          "--arch=${arch}"
          "--final-name=${finalImageName}"
          "--final-tag=${finalImageTag}"
          "--tls-verify=${lib.boolToString tlsVerify}"
        ]
      } 1<> $out
    ''
)
