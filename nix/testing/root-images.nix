# Images whose commands run as root: some like nixpkgs' examples and tests of runAsRoot, and one with
# everything that root may do.
{
  bash,
  coreutils,
  dockerTools,
  root,
  runCommand,
  runtimeShell,
  sh,
  shadow,
  util-linux,
}:

let
  inherit (dockerTools) buildImage;

  # Behaves as if the kernel forbade namespaces.
  withoutNamespaces = dockerTools.override {
    util-linux = runCommand "without-namespaces" { } ''
      mkdir -p $out/bin
      printf '#!%s\nexit 1\n' ${runtimeShell} > $out/bin/unshare
      chmod +x $out/bin/unshare
    '';
  };

  # Like shadowSetup.
  users = ''
    export PATH=${shadow}/bin:$PATH
    mkdir -p /etc/pam.d
    echo "root:x:0:0::/root:${runtimeShell}" > /etc/passwd
    echo "root:!x:::::::" > /etc/shadow
    echo "root:x:0:" > /etc/group
    echo "root:x::" > /etc/gshadow
    printf '%s\n' 'account sufficient pam_unix.so' 'auth sufficient pam_rootok.so' > /etc/pam.d/other
    touch /etc/login.defs
  '';

  base = buildImage {
    name = "as-root-base";
    tag = "latest";
    copyToRoot = root [
      bash
      coreutils
    ];
    extraCommands = ''
      mkdir -p etc lib srv/tree/sub srv/other opt
      echo hosts > etc/hosts
      echo old | tee srv/tree/old srv/tree/sub/old srv/other/file srv/one srv/two lib/file > opt/file
      ln -s lib lib64
    '';
  };
  changed =
    tools: name:
    tools.buildImage {
      inherit name;
      tag = "latest";
      fromImage = base;
      uid = 7;
      diskSize = 10;
      buildVMMemorySize = 10;
      runAsRoot = users + ''
        groupadd --gid 3000 staff
        useradd --uid 3001 --gid staff --create-home --home-dir /home/alice alice
        echo mine > /home/alice/file
        chown alice:staff /home/alice/file
        cp /bin/id /opt/id
        chmod 4755 /opt/id
        mkdir -m 700 /opt/secret
        chown 3001:3000 /opt/secret
        rm /srv/one
        rm -rf /srv/tree
        mkdir /srv/tree
        echo new > /srv/tree/new
        mv /srv/other /srv/moved
        rm -r /lib
        ln -s /srv /lib
        rm /lib64
        mkdir /lib64
        ln /srv/two /opt/two
        [ -c /dev/null ] && [ "$(cat /proc/self/comm)" = cat ] && [ "$(umask)" = 0022 ]
        [ "$PWD" = / ] && [ "$TMPDIR" = /tmp ] && [ -n "$out" ]
        rm "$(mktemp)"
        # Processes that are in fakeroot at the same time, and are still there at the end.
        for number in 1 2 3 4 5 6; do ls -l /bin > /dev/null & done
        sleep 1000 &
      '';
      # extraCommands must not see the base's files.
      extraCommands = "[ -e opt/id ] && [ ! -e opt/file ] && echo extra > extra";
      config.Cmd = sh ''
        cd /srv
        stat -c '%n %a %u:%g %F' /opt/id /opt/secret /home/alice /home/alice/file /lib /lib64
        for file in * */* /opt/*; do echo $file; done
        cat tree/new moved/file /opt/file /extra
        stat -c %h two /opt/two
        echo $(cut -d: -f1 /etc/passwd /etc/group)
      '';
    };

  order =
    fromImage: layer:
    buildImage {
      inherit fromImage;
      name = "as-root-order";
      tag = "latest";
      copyToRoot = root [ coreutils ];
      runAsRoot = ''
        #!${runtimeShell}
        echo -n "${layer}" >> /layer-order
      '';
      config.Cmd = [
        "/bin/cat"
        "/layer-order"
      ];
    };
  empty =
    fromImage:
    buildImage {
      inherit fromImage;
      name = "empty";
      tag = "latest";
    };
in
{
  as-root-extra-commands = buildImage {
    name = "as-root-extra-commands";
    tag = "latest";
    copyToRoot = root [ coreutils ];
    # Parentheses that a shell must not interpret twice.
    runAsRoot = ''echo "(runAsRoot)" | tee runAsRoot > /bin/healthcheck'';
    extraCommands = ''echo "(extraCommand)" > extraCommands'';
    config.Cmd = [
      "/bin/cat"
      "runAsRoot"
      "extraCommands"
      "/bin/healthcheck"
    ];
  };
  as-root-parent = buildImage {
    name = "as-root-parent";
    tag = "latest";
    fromImage = base;
    runAsRoot = "touch /example-file";
    config.Cmd = [
      "/bin/ls"
      "/example-file"
      "/etc/hosts"
    ];
  };
  as-root-order = order (order (order null "a") "b") "c";
  as-root-repeated = buildImage {
    name = "as-root-repeated";
    tag = "latest";
    fromImage = empty (empty null);
    copyToRoot = root [ bash ];
    runAsRoot = "echo 'runAsRoot has run.'";
    config.Cmd = sh "exit 0";
  };
  as-root-changes = changed dockerTools "as-root-changes";
  as-root-in-proot = changed withoutNamespaces "as-root-in-proot";
  as-root-mounts = buildImage {
    name = "as-root-mounts";
    tag = "latest";
    copyToRoot = root [ coreutils ];
    keepContentsDirlinks = true;
    runAsRoot = ''
      mkdir /mounted /made
      ${util-linux}/bin/mount -t tmpfs none /mounted
      touch /mounted/file /made/file
      mknod /made/zero c 1 5
      chmod 666 /made/zero
    '';
    config.Cmd = [
      "/bin/stat"
      "-c"
      "%n %a %F"
      "/mounted"
      "/made/file"
      "/made/zero"
    ];
  };
}
