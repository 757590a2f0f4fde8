# The registration of a closure: for each path its hash, size, (no) deriver and references.
{ attributes }:

let
  inherit (builtins)
    concatStringsSep
    fromJSON
    length
    readFile
    ;
  entry =
    info:
    [
      info.path
      info.narHash
      (toString info.narSize)
      ""
      (toString (length info.references))
    ]
    ++ info.references;
in
concatStringsSep "" (
  map (line: line + "\n") (builtins.concatMap entry (fromJSON (readFile attributes)).closure)
)
