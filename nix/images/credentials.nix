# What a build that asks a registry may take from outside: where proxies are, and
# what to log in with. Nix lets builds with a fixed output see these variables.
{ lib }:

{
  impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [
    "DOCKER_AUTH_CONFIG"
    "REGISTRY_AUTH_FILE"
    "NETRC"
  ];
}
