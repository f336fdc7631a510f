{
  description = "Three hosts and their secrets, checked by `nix flake check` without any key";

  # Wherever you have secretsmith's repository; git+https://… or git+ssh://… as well.
  inputs.secretsmith.url = "git+file:///srv/secretsmith?dir=plugins/secretsmith-nix";

  outputs =
    { self, secretsmith }:
    let
      # On NixOS it is nixpkgs' own, and the files in hosts/ stay as they are:
      #   host = name: nixpkgs.lib.nixosSystem {
      #     modules = [ secretsmith.nixosModules.default { networking.hostName = name; secretsmith.root = ./.; } ./hosts/${name}.nix ];
      #   };
      # Here it needs no nixpkgs, so that it can be tried anywhere with: nix flake check --option sandbox false
      # In a sandbox there is no /usr/bin/python3, which builds the checks: give `python`, one of the store, to lib.host.
      host =
        name:
        secretsmith.lib.host {
          host = name;
          root = ./.;
          modules = [ (./hosts + "/${name}.nix") ];
        };
      hosts = builtins.listToAttrs (
        map
          (name: {
            inherit name;
            value = host name;
          })
          [
            "web1"
            "web2"
            "db1"
          ]
      );
    in
    {
      nixosConfigurations = hosts;
      # One check for each host: does everything that it declares exist, and open for its registered key?
      checks.x86_64-linux = builtins.listToAttrs (
        map (name: {
          name = "secretsmith-${name}";
          value = hosts.${name}.config.system.build.secretsmithCheck;
        }) (builtins.attrNames hosts)
      );
    };
}
