{
  imports = [ ./common.nix ];

  secretsmith.secrets.db-password = {
    file = ../secrets/db.age;
    owner = "postgres";
    path = "/var/lib/postgresql/password";
    maxStale = "30d";
  };
}
