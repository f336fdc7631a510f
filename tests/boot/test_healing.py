"""What goes wrong with a key or a value on a host that boots: nothing else stops, the message says what to do, and it heals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from boothost import ACTIVATE, FILES, HOST_KEY, MANIFEST, UNITS, BootHost
from hosts import fingerprint
from keys import SshKey, ed25519_key, rsa_key

TIMER = "secretsmith-retry.timer"
NO_KEY_YET = f"no identity yet: {HOST_KEY} does not exist"
LOGIN = ["ssh", "-i", "/root/.ssh/id_ed25519", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]


def public(key: SshKey) -> str:
    return " ".join(key.public.split()[:2])


def failed(host: BootHost) -> list[str]:
    return [line.split()[0] for line in host.machine.systemctl("--failed", "--plain").splitlines()]


def allow_login(host: BootHost) -> None:
    folder = host.path("/root/.ssh")
    folder.mkdir(mode=0o700, exist_ok=True)
    key = ed25519_key()
    key.write(folder, "id_ed25519")
    host.write("/root/.ssh/authorized_keys", key.public + "\n", 0o600)


def log_in(host: BootHost) -> str:
    return host.machine.run(*LOGIN, "root@127.0.0.1", "echo", "reached").stdout


def hurry(host: BootHost) -> None:
    """Retry after one second instead of thirty."""
    host.write(
        f"{UNITS}/{TIMER}.d/hurry.conf",
        "[Timer]\nOnActiveSec=\n" + "OnActiveSec=1s\nOnActiveSec=2s\nOnActiveSec=4s\n"
        "OnActiveSec=8s\nOnActiveSec=16s\nAccuracySec=100ms\n",
    )


def test_the_host_key_changes(host: BootHost) -> None:
    host.add("db", owner="app", restart_units=["reader.service"])
    host.add("smtp")
    host.service("reader.service", "User=app", start="sha256sum /run/secrets/db")
    host.install()
    host.machine.boot()
    running = host.machine.properties("reader.service", "InvocationID")
    old = host.key
    host.install_key(ed25519_key("root@web1"))
    host.machine.systemctl("restart", ACTIVATE, check=False)
    assert failed(host) == [ACTIVATE]
    said = host.said(ACTIVATE)
    assert "this host's key does not open any of its 2 secret files" in said
    assert f'secretsmith host reprovision web1 --key "{public(host.key)}"' in said
    assert fingerprint(old) in said and fingerprint(host.key) in said
    assert "last good values stay (stale): db, smtp" in said
    assert host.machine.run("sha256sum", "/run/secrets/db").stdout.startswith(host.digest("db"))
    assert host.machine.properties("reader.service", "InvocationID") == running
    assert host.machine.state(TIMER) == "active", "it will be tried again"
    host.rekey()
    host.machine.systemctl("start", ACTIVATE)
    assert failed(host) == []
    assert host.machine.run("sha256sum", "/run/secrets/db").stdout.startswith(host.digest("db"))
    host.machine.settle()
    assert host.machine.state(TIMER) == "inactive"
    assert host.machine.properties("reader.service", "InvocationID") == running, "its value is the same"


def test_a_reinstalled_host_boots_and_heals_by_itself(host: BootHost) -> None:
    # The values are lost with the old machine's memory: what needs them fails until the files are rekeyed.
    hurry(host)
    allow_login(host)
    host.add("db", owner="app", restart_units=["needs.service", "ordered.service"])
    credential = "LoadCredential=db:/run/secrets/db"
    host.service("needs.service", "DynamicUser=yes", credential, start="sha256sum $CREDENTIALS_DIRECTORY/db")
    wants = "Requires=secretsmith-secret@db.target\nAfter=secretsmith-secret@db.target"
    host.service("ordered.service", "User=app", unit=wants, start="sha256sum /run/secrets/db")
    host.install()
    host.install_key(ed25519_key("root@web1"))
    host.machine.boot()
    assert set(failed(host)) == {ACTIVATE, "needs.service"}
    assert host.machine.state("ordered.service") == "inactive", "it does not even start without its secret"
    assert "host reprovision web1" in host.said(ACTIVATE)
    assert log_in(host) == "reached\n"
    host.rekey()  # files alone: nobody starts anything
    host.machine.await_unit(ACTIVATE)
    for unit in ("needs.service", "ordered.service"):
        host.machine.await_unit(unit)
        assert host.digest("db") in host.said(unit)
    assert failed(host) == []


def test_with_every_secret_broken_the_machine_is_reached(host: BootHost) -> None:
    allow_login(host)
    for name in ("garbage", "foreign", "gone", "nobody", "folder", "pipe", "good"):
        host.add(name)
    host.write(f"{FILES}/garbage.age", b"\x00garbage" * 1000)
    host.add("foreign", ed25519_key())
    host.path(f"{FILES}/gone.age").unlink()
    host.add("nobody", owner="no-such-user")
    host.path(f"{FILES}/folder.age").unlink()
    host.path(f"{FILES}/folder.age").mkdir()
    host.path(f"{FILES}/pipe.age").unlink()
    os.mkfifo(host.path(f"{FILES}/pipe.age"))
    host.drop("good")
    host.service("needs.service", "LoadCredential=x:/run/secrets/gone", start="echo started")
    host.install()
    host.machine.boot()
    assert log_in(host) == "reached\n"
    assert set(failed(host)) == {ACTIVATE, "needs.service"}
    said = host.said(ACTIVATE)
    assert all(name in said for name in ("garbage", "foreign", "gone", "nobody", "folder", "pipe"))
    assert "Traceback" not in said
    for unit in ("sysinit.target", "multi-user.target", "ssh.service"):
        assert host.machine.state(unit) == "active"


@pytest.mark.parametrize("manifest", [b"{", b"[]", b"\x00" * 4096, None])
def test_with_a_broken_manifest_the_machine_is_reached(host: BootHost, manifest: bytes | None) -> None:
    allow_login(host)
    host.add("db")
    host.install()
    if manifest is None:
        host.path(MANIFEST).unlink()
    else:
        host.write(MANIFEST, manifest)
    host.machine.boot()
    assert log_in(host) == "reached\n"
    assert ACTIVATE in failed(host) and all(unit.startswith("secretsmith-") for unit in failed(host))
    assert "secretsmith: error: " in host.said(ACTIVATE) and "Traceback" not in host.said(ACTIVATE)
    host.deploy()
    host.machine.systemctl("start", ACTIVATE)
    assert host.machine.run("sha256sum", "/run/secrets/db").stdout.startswith(host.digest("db"))


def test_no_key_yet_and_then_it_appears(host: BootHost) -> None:
    host.add("db")
    host.add("early", phase="users")
    for path in host.path("/etc/ssh").glob("ssh_host_*"):
        path.unlink()
    host.install()
    host.machine.boot()
    assert ACTIVATE in failed(host)
    assert NO_KEY_YET in host.said(ACTIVATE)
    host.machine.systemctl("stop", TIMER)  # the path unit alone sees it
    host.install_key(host.key)  # as provisioning does, some time after the boot; nobody starts anything
    host.machine.await_unit(ACTIVATE)
    assert host.machine.run("sha256sum", "/run/secrets/db").stdout.startswith(host.digest("db"))
    assert host.machine.run("sha256sum", "/run/secrets-for-users/early").stdout.startswith(
        host.digest("early")
    )
    assert [unit for unit in failed(host) if unit.startswith("secretsmith")] == []


def test_no_key_yet_and_then_a_new_one_is_made(host: BootHost) -> None:
    hurry(host)
    host.add("db")
    host.install()
    for path in host.path("/etc/ssh").glob("ssh_host_*"):
        path.unlink()
    host.machine.boot()
    assert NO_KEY_YET in host.said(ACTIVATE) and "ssh-keygen -A" in host.said(ACTIVATE)
    host.machine.systemctl("stop", TIMER)  # the path unit alone sees it
    host.machine.run("ssh-keygen", "-A")
    made = host.path(f"{HOST_KEY}.pub").read_text()
    host.machine.until(
        lambda: "host reprovision web1" in host.said(ACTIVATE), "the path unit did not see the new key"
    )
    assert " ".join(made.split()[:2]) in host.said(ACTIVATE)
    host.key = SshKey(b"", made.strip())
    host.rekey()
    host.machine.await_unit(ACTIVATE)
    assert host.machine.run("sha256sum", "/run/secrets/db").stdout.startswith(host.digest("db"))


def test_the_key_is_on_a_disk_that_is_mounted_for_it(host: BootHost) -> None:
    # Nothing but the unit asks for this mount. Without its disk the machine starts all the same, and the unit is tried again.
    hurry(host)
    allow_login(host)
    host.add("db")
    host.manifest["identities"] = ["/keys/host_key"]
    host.write("/etc/fstab", "/disk/keys /keys none bind,noauto 0 0\n")
    host.path("/keys").mkdir()
    host.write("/disk", "no folder")
    host.install()
    host.machine.boot()
    assert log_in(host) == "reached\n"
    assert host.machine.state(ACTIVATE) != "active" and host.machine.state(TIMER) == "active"
    host.path("/disk").unlink()
    host.path("/disk/keys").mkdir(parents=True)
    host.key.write(host.path("/disk/keys"), "host_key")
    host.machine.await_unit(ACTIVATE)
    assert host.machine.run("sha256sum", "/run/secrets/db").stdout.startswith(host.digest("db"))
    host.machine.shut_down()
    host.machine.boot()
    assert failed(host) == [] and host.machine.state(ACTIVATE) == "active"


def test_a_key_of_the_wrong_type_is_another_message(host: BootHost) -> None:
    host.add("db")
    host.install()
    rsa_key().write(host.path(HOST_KEY).parent, Path(HOST_KEY).name)
    host.machine.boot()
    said = host.said(ACTIVATE)
    assert ACTIVATE in failed(host)
    assert NO_KEY_YET not in said and "RSA" in said.upper() and "ed25519" in said


def test_the_whole_chain_from_the_workstation(host: BootHost, tmp_path: Path) -> None:
    """The command that the journal names is run as it is, and its result deployed."""
    alice = ed25519_key("alice@laptop")
    alice.write(tmp_path, "alice")
    fleet = tmp_path / "fleet"
    fleet.mkdir()

    def secretsmith(*words: str, stdin: bytes = b"") -> None:
        environment = {
            "PATH": str(Path(sys.executable).parent) + ":/usr/bin:/bin",
            "HOME": str(tmp_path),
            "SECRETSMITH_IDENTITY": str(tmp_path / "alice"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        done = subprocess.run(
            [sys.executable, "-m", "secretsmith", *words],
            cwd=fleet, env=environment, input=stdin, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stderr.decode()}"

    def deploy() -> None:
        secretsmith("build", "manifest", "web1", "--source-root", FILES, "--out", "web1.json")
        host.write(MANIFEST, (fleet / "web1.json").read_bytes())
        for path in fleet.glob("secrets/**/*.age"):
            host.write(f"{FILES}/{path.relative_to(fleet)}", path.read_bytes())

    secretsmith("init", "--user", "alice", "--key", str(tmp_path / "alice.pub"))
    secretsmith("host", "add", "web1", "--key", public(host.key))
    secretsmith("grant", "secrets/web/**", "--to", "web1")
    secretsmith("set", "secrets/web/db.age", stdin=host.value("db"))
    (fleet / "secretsmith.d").mkdir()
    (fleet / "secretsmith.d/web1.toml").write_text(
        '[secrets.db]\nfile = "secrets/web/db.age"\nowner = "app"\n'
    )
    host.add("db")
    host.install()
    deploy()
    host.machine.boot()
    digest = host.machine.run("sha256sum", "/run/secrets/db", user="app").stdout.split()[0]
    host.install_key(ed25519_key("root@web1"))
    host.machine.systemctl("restart", ACTIVATE, check=False)
    (line,) = {line for line in host.said(ACTIVATE).splitlines() if "host reprovision" in line}
    command = line.partition("secretsmith host reprovision ")[2].replace('"', "")
    name, option, *key = command.split()
    secretsmith("host", "reprovision", name, option, " ".join(key), "--yes")
    deploy()
    host.machine.systemctl("start", ACTIVATE)
    assert failed(host) == []
    assert host.machine.run("sha256sum", "/run/secrets/db", user="app").stdout.split()[0] == digest
