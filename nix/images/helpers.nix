# Small packages that many images need in their `contents`.
#
# They are the same derivations as nixpkgs', so that an image made of them is the same image and
# binary caches have their paths.
{
  bashInteractive,
  cacert,
  coreutils,
  runCommand,
}:

{
  # For scripts that start with #!/usr/bin/env.
  usrBinEnv = runCommand "usr-bin-env" { } ''
    mkdir -p $out/usr/bin
    ln -s ${coreutils}/bin/env $out/usr/bin
  '';

  # The interactive bash, because people type into `docker run -it`.
  binSh = runCommand "bin-sh" { } ''
    mkdir -p $out/bin
    ln -s ${bashInteractive}/bin/bash $out/bin/sh
  '';

  # The certificates in all places where programs look for them.
  caCertificates =
    let
      bundle = "${cacert}/etc/ssl/certs/ca-bundle.crt";
    in
    runCommand "ca-certificates" { } ''
      mkdir -p $out/etc/ssl/certs $out/etc/pki/tls/certs
      # Old NixOS compatibility.
      ln -s ${bundle} $out/etc/ssl/certs/ca-bundle.crt
      # NixOS canonical location + Debian/Ubuntu/Arch/Gentoo compatibility.
      ln -s ${bundle} $out/etc/ssl/certs/ca-certificates.crt
      # CentOS/Fedora compatibility.
      ln -s ${bundle} $out/etc/pki/tls/certs/ca-bundle.crt
    '';
}
