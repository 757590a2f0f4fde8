# The environment variables that a build which fetches from a registry needs: proxies and
# credentials. Nix passes them to fixed-output builds.
{ lib }:

{
  impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [
    "DOCKER_AUTH_CONFIG"
    "REGISTRY_AUTH_FILE"
    "NETRC"
  ];
}
