{
  imports = [ ./common.nix ];

  secretsmith.secrets.db-password = {
    file = ../secrets/db.age;
    owner = "app";
  };
  secretsmith.secrets.tls-key.file = ../secrets/web/tls.age;
}
