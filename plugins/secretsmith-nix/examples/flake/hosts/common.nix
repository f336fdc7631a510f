{
  secretsmith.secrets.root-password = {
    file = ../secrets/root-password.age;
    neededForUsers = true;
  };
}
