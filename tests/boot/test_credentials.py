"""Credentials on a host that boots: handed over from memory, or encrypted on the disk with the machine's own secret."""

from __future__ import annotations

from boothost import ACTIVATE, UNITS, BootHost

STORE = "/var/lib/secretsmith/credstore"
READS = "id -u; cat $CREDENTIALS_DIRECTORY/db | sha256sum"


def test_a_service_reads_its_credential(host: BootHost) -> None:
    host.add("db", credentials=["web.service:db"], restart_units=["web.service"])
    host.service("web.service", "DynamicUser=yes", start=READS)
    host.install()
    assert host.path(f"{UNITS}/web.service.d/50-secretsmith.conf").exists()
    host.machine.boot()
    said = host.said("web.service").splitlines()
    assert any(line.startswith(host.digest("db")) for line in said), said
    assert "0" not in said, "not as root"
    host.change("db")
    host.deploy()
    host.activate()
    assert host.digest("db") in host.said("web.service")
    host.machine.shut_down()
    host.assert_nothing_on_disk()


def test_it_is_encrypted_for_the_disk_by_the_unit_itself(host: BootHost) -> None:
    host.manifest["credential_key"] = "host"
    host.add("db", credentials=["web.service:db"], restart_units=["web.service"])
    host.service("web.service", "DynamicUser=yes", start=READS)
    host.install()
    host.machine.boot()
    # Inside of the sandbox, with a machine's secret that was not there before.
    assert host.machine.state(ACTIVATE) == "active", host.said(ACTIVATE)
    assert "encrypted for the disk: web.service:db" in host.said(ACTIVATE)
    assert host.digest("db") in host.said("web.service")
    assert host.machine.run("stat", "-c", "%a %U", STORE).stdout.split() == ["700", "root"]
    assert host.machine.run("stat", "-c", "%a %U", f"{STORE}/web.service:db").stdout.split() == [
        "600",
        "root",
    ]
    host.change("db")
    host.deploy()
    host.machine.systemctl("restart", ACTIVATE)
    # A unit that restarts others does not wait for them.
    host.machine.until(lambda: host.digest("db") in host.said("web.service"), "it was not restarted")
    # With the host's key gone, the service is still handed the last value, at the next boot too.
    host.machine.shut_down()
    host.assert_nothing_on_disk()
    host.path("/etc/ssh/ssh_host_ed25519_key").unlink()
    host.machine.boot()
    assert host.machine.state(ACTIVATE) == "failed"
    assert host.digest("db") in host.said("web.service")
