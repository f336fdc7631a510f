"""``secretsmith status`` and ``doctor`` on a host that booted: quiet when all is well, and not after somebody tampered."""

from __future__ import annotations

import json
import re

import pytest
from boothost import ACTIVATE, MANIFEST, BootHost
from keys import ed25519_key

FINDINGS = 3
TAMPERING = {
    "bytes": "printf x > /run/secrets/db",
    "mode": "chmod 0444 /run/secrets/db",
    "owner": "chown other /run/secrets/db",
    "link": "ln -sfn /etc/hostname /srv/db",
    "removed": "rm /srv/db",
    "mount": "mount -o remount,exec /run/secrets.d",
    "foreign file": "touch /run/secrets.d/foreign",
}


def booted(host: BootHost) -> None:
    host.add("db", owner="app", path="/srv/db", restart_units=["reader.service"])
    host.service("reader.service", "User=app", start="sha256sum /srv/db")
    host.install()
    host.machine.boot()


def test_all_is_well(host: BootHost) -> None:
    booted(host)
    for command in ("status", "doctor"):
        done = host.machine.run("secretsmith", command, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        json.loads(host.machine.run("secretsmith", command, "--json").stdout)
    assert "db" in host.machine.run("secretsmith", "status").stdout


@pytest.mark.parametrize("what", sorted(TAMPERING))
def test_tampering_is_found(host: BootHost, what: str) -> None:
    booted(host)
    host.machine.run("sh", "-c", TAMPERING[what])
    done = host.machine.run("secretsmith", "status", check=False)
    assert done.returncode == FINDINGS, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert host.values["db"].decode() not in said
    # Running it again mends it, but for what is not its own: that is named with the command that does.
    host.activate(check=False)
    if what in ("bytes", "mode", "owner", "removed"):
        left = host.machine.run("secretsmith", "status", check=False).stdout
        for command in re.findall(r"^ +(rm -r /run/secrets\.d/\d+)$", left, re.MULTILINE):
            host.machine.run(*command.split())
        done = host.machine.run("secretsmith", "status", check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_manifest_that_is_not_activated_is_found(host: BootHost) -> None:
    booted(host)
    host.add("new")
    host.deploy()
    done = host.machine.run("secretsmith", "status", check=False)
    assert done.returncode == FINDINGS and "new" in done.stdout and MANIFEST in done.stdout
    host.activate()
    assert host.machine.run("secretsmith", "status", check=False).returncode == 0


def test_a_changed_host_key_is_found(host: BootHost) -> None:
    booted(host)
    host.install_key(ed25519_key("root@web1"))
    host.machine.systemctl("restart", ACTIVATE, check=False)
    status = host.machine.run("secretsmith", "status", check=False)
    assert status.returncode == FINDINGS and "stale" in status.stdout
    doctor = host.machine.run("secretsmith", "doctor", check=False)
    assert doctor.returncode == FINDINGS
    assert "host reprovision" in doctor.stdout + doctor.stderr


def test_a_service_older_than_its_value_is_found(host: BootHost) -> None:
    host.add("db")
    host.service(
        "reader.service", "LoadCredential=db:/run/secrets/db", start="sha256sum $CREDENTIALS_DIRECTORY/db"
    )
    host.install()
    host.machine.boot()
    assert host.machine.run("secretsmith", "status", check=False).returncode == 0
    host.change("db")  # and nobody declared that reader.service reads it
    host.deploy()
    host.activate()
    done = host.machine.run("secretsmith", "status", check=False)
    assert done.returncode == FINDINGS and "reader.service" in done.stdout + done.stderr
    host.machine.systemctl("restart", "reader.service")
    assert host.machine.run("secretsmith", "status", check=False).returncode == 0
