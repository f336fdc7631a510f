"""Values in templates, read by the real systemd: files of variables, settings of units, a password for a new user."""

from __future__ import annotations

from hashlib import sha256

import pytest
from boothost import USERS, BootHost

AWKWARD = {
    "quotes": 'it\'s "quoted" `and` $HOME ${PATH} $$ \\ \\n',
    "percent": "100%n %% %i %%h",
    "ends": " begins and ends with blanks \t ",
    "comment": "# not a comment ; nor = this",
    "dash": "-n",
    "letters": "Grüße, 你好 🔑",
    "joined": "ends with a backslash\\",
    "empty": "",
}


def printed(value: str) -> str:
    """What sha256sum says of a variable as printenv -0 gives it."""
    return sha256(value.encode() + b"\0").hexdigest()


def declared(host: BootHost, values: dict[str, str], filtered: str) -> dict[str, tuple[str, str]]:
    """Declare the values; return the placeholders and what they stand for."""
    for name, value in values.items():
        host.add(name, value=value.encode())
    return {f"{{{{{name}}}}}": (name, filtered) for name in values}


def said_all(host: BootHost, unit: str, values: dict[str, str]) -> None:
    said = host.said(unit).splitlines()
    found = [line.split()[0] for line in said if line.endswith("  -")]
    assert found == [printed(value) for value in values.values()], dict(zip(values, found, strict=False))


def print_all(values: dict[str, str]) -> str:
    return "; ".join(f"printenv -0 {name.upper()} | sha256sum" for name in values)


@pytest.mark.parametrize("seconds", [{"lines": "two\nlines\n\n# and\nX=three\n"}, {}])
def test_systemd_reads_a_file_of_variables(host: BootHost, seconds: dict[str, str]) -> None:
    values = AWKWARD | seconds
    placeholders = declared(host, values, "env")
    content = "# made by a test\n" + "".join(f"{name.upper()}={{{{{name}}}}}\n" for name in values)
    host.template("app.env", content, placeholders, owner="app", restart_units=["app.service"])
    if not seconds:
        host.manifest["templates"][0]["format"] = "dotenv"
    environment = "EnvironmentFile=/run/secrets/app.env"
    host.service("app.service", "DynamicUser=yes", environment, start=print_all(values))
    host.install()
    host.machine.boot()
    said_all(host, "app.service", values)
    # One value changes: the service gets the new file.
    host.add("comment", value=b"another")
    host.deploy()
    host.activate()
    host.machine.settle()
    host.machine.until(lambda: printed("another") in host.said("app.service"), "the service did not restart")


def test_systemd_reads_a_setting_of_a_unit(host: BootHost) -> None:
    values = {**AWKWARD, "lines": "two\nlines\n"}
    placeholders = declared(host, values, "systemd")
    lines = "".join(f'Environment="{name.upper()}={{{{{name}}}}}"\n' for name in values)
    path = "/run/systemd/system/app.service.d/secret.conf"
    host.template("app.conf", f"[Service]\n{lines}", placeholders, path=path, mode="0400")
    host.service("app.service", "DynamicUser=yes", start=print_all(values))
    host.install()
    host.machine.boot()
    host.machine.systemctl("daemon-reload")
    host.machine.systemctl("restart", "app.service")
    host.machine.until(
        lambda: printed(values["lines"]) in host.said("app.service"), "the last one was not printed"
    )
    said = [line.split()[0] for line in host.said("app.service").splitlines() if line.endswith("  -")]
    assert said[-len(values) :] == [printed(value) for value in values.values()]


def test_a_template_that_breaks_its_format_stops_nothing_else(host: BootHost) -> None:
    host.add("db", value=b'x", "admin": true, "y": "', owner="app")
    host.template("bad.json", '{"password": "{{db}}"}', {"{{db}}": ("db", "raw")}, format="json")
    host.template("good.json", '{"password": "{{db}}"}', {"{{db}}": ("db", "json")}, format="json")
    host.service("app.service", start="sha256sum /run/secrets/db")
    host.install()
    host.machine.boot()
    assert host.machine.state("multi-user.target") == "active"
    assert host.digest("db") in host.said("app.service")
    read = 'import json; print(json.load(open("/run/secrets/good.json"))["password"], end="")'
    assert host.machine.run("python3", "-c", read).stdout.encode() == host.values["db"]
    said = host.said("secretsmith-activate.service")
    assert "bad.json" in said and "admin" not in said
    assert host.machine.run("ls", "/run/secrets/bad.json", check=False).returncode != 0


def test_a_user_gets_a_password_at_the_first_boot(host: BootHost) -> None:
    # systemd-sysusers makes users before any service runs: the phase users comes before that.
    hashed = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"
    host.add("operator-hash", value=hashed.encode(), phase="users")
    host.add("db", owner="operator")
    host.write("/etc/sysusers.d/operator.conf", 'u operator 1500 "the operator" /home/operator /bin/sh\n')
    credential = "LoadCredential=passwd.hashed-password.operator:/run/secrets-for-users/operator-hash"
    host.write("/etc/systemd/system/systemd-sysusers.service.d/password.conf", f"[Service]\n{credential}\n")
    assert USERS in host.install()
    host.machine.boot()
    shadow = host.machine.run("getent", "shadow", "operator").stdout
    assert shadow.split(":")[1] == hashed
    assert host.machine.run("sha256sum", "/run/secrets/db", user="operator").stdout.startswith(
        host.digest("db")
    )
    assert host.machine.systemctl("is-system-running").strip() == "running"
    mounts = host.machine.run("findmnt", "-no", "OPTIONS", "/run/secrets-for-users.d").stdout
    assert "noswap" in mounts
    host.machine.shut_down()
    host.assert_nothing_on_disk("/etc/shadow", "/etc/shadow-")
