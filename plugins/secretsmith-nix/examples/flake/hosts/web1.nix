{ config, ... }:
{
  imports = [ ./common.nix ];

  secretsmith.secrets.db-password = {
    file = ../secrets/db.age;
    owner = "app";
    restartUnits = [ "app.service" ];
  };
  secretsmith.secrets.tls-key = {
    file = ../secrets/web/tls.age;
    group = "tls";
    mode = "0440";
    reloadUnits = [ "nginx.service" ];
  };
  secretsmith.secrets.smtp = {
    file = ../secrets/mail.yaml;
    key = "smtp/password";
  };
  secretsmith.templates."app.env" = {
    format = "dotenv";
    owner = "app";
    content = ''
      DSN=postgres://app:${config.secretsmith.placeholder.url.db-password}@db1/app
      SMTP_PASSWORD=${config.secretsmith.placeholder.env.smtp}
      TLS_KEY=${config.secretsmith.secrets.tls-key.path}
    '';
  };
}
