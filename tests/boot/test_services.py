"""A host boots: in which order, who reads which secret, who does not, and what a change restarts."""

from __future__ import annotations

import json

import pytest
from boothost import ACTIVATE, FILES, MANIFEST, PROGRAM, UNITS, USERS, BootHost

from secretsmith.crypto.publickey import Form, parse_public_key
from secretsmith.documents.format import format_of
from secretsmith.documents.sopsnew import new_document

STARTED, STARTING = "ActiveEnterTimestampMonotonic", "InactiveExitTimestampMonotonic"
PATH_UNIT, TIMER = "secretsmith-identity.path", "secretsmith-retry.timer"


def invocation(host: BootHost, unit: str) -> str:
    found = host.machine.properties(unit, "InvocationID")["InvocationID"]
    assert found, f"{unit} never ran"
    return found


def moment(host: BootHost, unit: str, which: str) -> int:
    return int(host.machine.properties(unit, which)[which])


def test_units_start_in_order(host: BootHost) -> None:
    host.add("early", phase="users")
    host.add("db", owner="app", group="app")
    host.service("reader.service", "User=app", start="sha256sum /run/secrets/db")
    host.service("early.service", start="sha256sum /run/secrets-for-users/early")
    assert {ACTIVATE, USERS, PATH_UNIT} <= set(host.install())
    host.machine.boot()
    assert host.machine.systemctl("is-system-running").strip() == "running"
    order = [
        *((USERS, STARTED), ("systemd-sysusers.service", STARTING), ("systemd-sysusers.service", STARTED)),
        *(
            (ACTIVATE, STARTING),
            (ACTIVATE, STARTED),
            ("sysinit.target", STARTED),
            ("reader.service", STARTING),
        ),
    ]
    moments = [moment(host, unit, which) for unit, which in order]
    assert all(moments) and moments == sorted(moments)
    assert host.digest("db") in host.said("reader.service")
    assert host.digest("early") in host.said("early.service")
    assert host.machine.state(PATH_UNIT) == "active"
    assert host.machine.state(TIMER) == "inactive", "nothing is to be tried again"
    host.machine.shut_down()
    host.assert_nothing_on_disk()


def test_each_way_to_give_a_service_its_secret(host: BootHost) -> None:
    for name in ("credential", "shared", "owned"):
        host.add(name)
    host.manifest["secrets"][1] |= {"group": "readers", "mode": "0440"}
    host.manifest["secrets"][2] |= {"owner": "app", "group": "app"}
    dynamic = ("DynamicUser=yes", "PrivateTmp=yes", "ProtectSystem=strict")
    credential = "LoadCredential=token:/run/secrets/credential"
    host.service(
        "credential.service", *dynamic, credential, start="id -u; sha256sum $CREDENTIALS_DIRECTORY/token"
    )
    groups = "SupplementaryGroups=readers"
    host.service("shared.service", *dynamic, groups, start="id -u; sha256sum /run/secrets/shared")
    host.service("owned.service", "User=app", start="id -u; sha256sum /run/secrets/owned")
    host.service(
        "none.service", *dynamic, start="cat /run/secrets/credential /run/secrets/shared; echo tried"
    )
    host.install()
    host.machine.boot()
    for name in ("credential", "shared", "owned"):
        said = host.said(f"{name}.service").splitlines()
        assert any(line.startswith(host.digest(name)) for line in said), said
        assert "0" not in said, "not as root"
    said = host.said("none.service").splitlines()
    assert sum("Permission denied" in line for line in said) == 2 and "tried" in said
    # Another user gets at nothing, neither by name nor in the generation itself.
    for path in (
        "/run/secrets/credential",
        "/run/secrets/shared",
        "/run/secrets/owned",
        "/run/secrets.d/1/owned",
    ):
        tried = host.machine.run("cat", path, user="other", check=False)
        assert tried.returncode != 0 and not tried.stdout, path
    assert host.machine.run("ls", "/run/secrets.d", user="other", check=False).returncode != 0
    host.machine.shut_down()
    host.assert_nothing_on_disk()


def test_plaintext_is_in_memory_for_everybody_to_see(host: BootHost) -> None:
    # Mounted by the unit, and yet in the machine's own mounts, with all options; the process ran in a sandbox.
    host.add("db")
    host.install()
    host.machine.boot()
    fields = host.machine.run("findmnt", "-no", "FSTYPE,OPTIONS", "/run/secrets.d").stdout.split()
    assert fields[0] == "tmpfs"
    assert {"noswap", "nosuid", "nodev", "noexec"} <= set(fields[1].split(","))
    assert host.machine.properties(ACTIVATE, "ProtectSystem", "NoNewPrivileges") == {
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
    }


@pytest.mark.parametrize("how", ["by hand", "by the unit"])
def test_only_what_was_touched_restarts(host: BootHost, how: str) -> None:
    for name in ("red", "blue", "green"):
        host.add(name, owner="app", restart_units=[f"{name}.service"])
        host.service(f"{name}.service", "User=app", start=f"sha256sum /run/secrets/{name}")
    host.manifest["secrets"][2] |= {"restart_units": [], "reload_units": ["green.service"]}
    host.service(
        "green.service",
        "User=app",
        "ExecReload=/bin/sha256sum /run/secrets/green",
        start="sha256sum /run/secrets/green",
    )
    host.install()
    host.machine.boot()
    before = {name: invocation(host, f"{name}.service") for name in ("red", "blue", "green")}

    def deploy() -> None:
        host.deploy()
        if how == "by hand":
            host.activate()
        else:
            host.machine.systemctl("restart", ACTIVATE)
        host.machine.settle()

    deploy()
    assert before == {name: invocation(host, f"{name}.service") for name in before}, "nothing changed"
    host.change("red")
    host.change("green")
    deploy()
    after = {name: invocation(host, f"{name}.service") for name in before}
    assert after["red"] != before["red"], "its value changed"
    assert after["blue"] == before["blue"] and after["green"] == before["green"]
    for name in ("red", "green"):
        host.machine.until(
            lambda name=name: host.digest(name) in host.said(f"{name}.service"), f"{name} read no new value"
        )
    assert "Reloaded" in host.said("green.service")
    # The mode is what a service can depend on, too.
    (blue,) = [found for found in host.manifest["secrets"] if found["name"] == "blue"]
    blue["mode"] = "0440"
    deploy()
    assert invocation(host, "blue.service") != before["blue"]
    assert invocation(host, "red.service") == after["red"]
    assert host.machine.systemctl("--failed") == ""


def test_a_service_waits_for_its_secret_by_the_target(host: BootHost) -> None:
    host.add("web/db-password", owner="app")
    host.add("gone")
    escaped = "secretsmith-secret@web-db\\x2dpassword.target"
    wants = f"Requires={escaped}\nAfter={escaped}"
    host.service("good.service", "User=app", unit=wants, start="sha256sum /run/secrets/web/db-password")
    missing = "Requires=secretsmith-secret@nothing.target\nAfter=secretsmith-secret@nothing.target"
    host.service("bad.service", unit=missing, start="echo started")
    host.install()
    host.machine.boot()
    assert host.digest("web/db-password") in host.said("good.service")
    assert host.machine.state("bad.service") == "inactive"
    assert "started" not in host.said("bad.service")
    # Neither another start of activation nor one that fails stops what was ordered on it.
    before = invocation(host, "good.service")
    host.machine.systemctl("restart", ACTIVATE)
    host.path(f"{FILES}/web_db-password.age").unlink()
    host.machine.systemctl("restart", ACTIVATE, check=False)
    assert host.machine.state(ACTIVATE) == "failed"
    assert host.machine.state("good.service") == "active" and invocation(host, "good.service") == before
    # Here and now it is there, as stale as it may be; systemd asks for the file alone.
    host.machine.systemctl("restart", "good.service")


PLACES = {"link": "/srv/links/deep/token", "copy": "/etc/copied/token", "home": "/home/app/.config/token"}


def test_custom_paths_through_the_sandbox(host: BootHost) -> None:
    host.add("link", path=PLACES["link"])
    host.add("copy", path=PLACES["copy"], method="copy", plaintext_on_disk=True, owner="app", mode="0440")
    host.add("home", path=PLACES["home"], owner="app", group="app")
    host.write("/etc/tmpfiles.d/app.conf", "d /home/app 0700 app app\nd /home/app/.config 0700 app app\n")
    host.install()
    host.machine.boot()
    said = host.machine.run("sha256sum", *PLACES.values()).stdout
    assert [line.split()[0] for line in said.splitlines()] == [host.digest(name) for name in PLACES]
    assert host.machine.run("stat", "-c", "%A %U", PLACES["copy"]).stdout == "-r--r----- app\n"
    assert (
        host.machine.run("stat", "-c", "%A %U", "/srv/links", "/etc/copied").stdout == "drwxr-xr-x root\n" * 2
    )
    assert host.machine.run("sha256sum", PLACES["home"], user="app").stdout.startswith(host.digest("home"))
    # Gone from the manifest, they go, although the units of the new manifest have no business at those places any more.
    for name in PLACES:
        host.drop(name)
    host.deploy()
    host.machine.run(PROGRAM, "--write-units", UNITS, MANIFEST)
    host.machine.systemctl("daemon-reload")
    host.machine.systemctl("restart", ACTIVATE)
    for path in PLACES.values():
        assert host.machine.run("test", "-e", path, check=False).returncode == 1, path
    host.machine.shut_down()
    host.assert_nothing_on_disk()


def test_custom_paths_of_the_first_boot(host: BootHost) -> None:
    # Before users exist, the folder of the record is not there yet; /srv is mounted after that.
    host.add("early", phase="users", path="/etc/early/deep/link")
    host.add("late", path="/srv/deep/link")
    host.write("/etc/fstab", "tmpfs /srv tmpfs rw 0 0\n")
    host.install()
    for _ in range(2):
        host.machine.boot()
        assert host.machine.systemctl("is-system-running").strip() == "running"
        for name, path in (("early", "/etc/early/deep/link"), ("late", "/srv/deep/link")):
            assert host.machine.run("sha256sum", path).stdout.startswith(host.digest(name))
        assert host.machine.run("findmnt", "-no", "TARGET", "--target", "/srv/deep").stdout == "/srv\n"
        assert host.machine.run("stat", "-c", "%A", "/var/lib/secretsmith").stdout == "drwx------\n"
        host.machine.shut_down()
        assert not list(host.path("/srv").iterdir()), "made on the mount, not below it"


def test_a_new_custom_path_that_the_units_do_not_know(host: BootHost) -> None:
    host.add("db")
    host.install()
    host.machine.boot()
    host.add("tls", path="/srv/tls/key")
    host.deploy()
    host.machine.systemctl("restart", ACTIVATE, check=False)
    assert host.machine.run("sha256sum", "/run/secrets/tls").stdout.startswith(host.digest("tls"))
    said = host.said(ACTIVATE)
    assert "/srv/tls: read-only file system" in said and "--write-units" in said
    host.machine.run(PROGRAM, "--write-units", UNITS, MANIFEST)
    host.machine.systemctl("daemon-reload")
    host.machine.systemctl("restart", ACTIVATE)
    assert host.machine.run("sha256sum", "/srv/tls/key").stdout.startswith(host.digest("tls"))


def test_the_next_boot_is_as_the_first(host: BootHost) -> None:
    host.add("db", owner="app", path="/srv/db", restart_units=["reader.service"])
    host.add("copy", path="/etc/copied", method="copy", plaintext_on_disk=True)
    host.service("reader.service", "User=app", start="sha256sum /srv/db")
    host.install()
    # The second boot is after an orderly end, the third after the plug was pulled.
    for end in (host.machine.shut_down, host.machine.kill, host.machine.shut_down):
        host.machine.boot()
        assert host.machine.systemctl("is-system-running").strip() == "running"
        # What reads it starts after it; a restart would be one too many.
        assert host.said("reader.service").count(host.digest("db")) == 1
        assert host.machine.run("sha256sum", "/etc/copied").stdout.startswith(host.digest("copy"))
        end()
    host.assert_nothing_on_disk("/etc/copied")


def test_units_are_installed_on_a_machine_that_runs(host: BootHost) -> None:
    host.add("db", owner="app")
    host.add("early", phase="users")
    host.deploy()
    host.machine.boot()
    said = host.machine.run(PROGRAM, "--write-units", UNITS, MANIFEST).stdout
    host.machine.run("sh", "-ec", said.partition("next: ")[2])
    assert host.machine.state(ACTIVATE) == host.machine.state(PATH_UNIT) == "active"
    assert host.machine.run("sha256sum", "/run/secrets/db", user="app").stdout.startswith(host.digest("db"))
    checked = host.machine.run("systemd-analyze", "verify", f"{UNITS}/{ACTIVATE}", f"{UNITS}/{USERS}")
    assert not checked.stderr


def test_documents_open_in_the_sandbox(host: BootHost) -> None:
    texts = {
        "yaml": "mail:\n    smtp: SMTP\n    port: 25\n",
        "json": '{\n\t"mail": {\n\t\t"smtp": "SMTP",\n\t\t"port": 25\n\t}\n}\n',
    }
    own = parse_public_key(host.key.public).recipient(Form.DERIVED)
    for kind, text in texts.items():
        value = host.value(kind)
        made = new_document(format_of(f"x.{kind}"), text.replace("SMTP", value.decode()).encode(), [[own]])
        host.write(f"{FILES}/mail.{kind}", made)
        document = {"source": f"{FILES}/mail.{kind}", "format": kind}
        host.manifest["secrets"] += [
            {"name": f"{kind}-smtp", **document, "key": "mail/smtp"},
            {"name": f"{kind}-mail", **document, "key": "mail", "output": "json"},
        ]
    host.install()
    host.machine.boot()
    for kind in texts:
        assert host.machine.run("cat", f"/run/secrets/{kind}-smtp").stdout.encode() == host.values[kind]
        mail = json.loads(host.machine.run("cat", f"/run/secrets/{kind}-mail").stdout)
        assert mail == {"smtp": host.values[kind].decode(), "port": 25}
    assert host.machine.systemctl("is-system-running").strip() == "running"
