"""The examination of a host: what is told of machine, manifest, sources, keys, owners and sshd, and what can be wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from doctors import off, only, own, prepare, running, told
from hosts import IS_ROOT, Host, fingerprint
from keys import ecdsa_key, ed25519_key
from vaults import derived

from secretsmith.activation.accounts import Caller
from secretsmith.activation.doctor.examination import examine
from secretsmith.activation.doctor.facts import Examination, Fact
from secretsmith.activation.doctor.host import host_facts
from secretsmith.activation.doctor.sshd import sshd_facts
from secretsmith.documents.format import Format
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import Code
from secretsmith.findings import Finding
from secretsmith.manifest import Scope, parse_manifest

ROOT = Caller(0, 0, frozenset({0}))


class Nobody:
    """A machine whose only account is root."""

    def uid(self, name: str) -> int | None:
        return None

    def gid(self, name: str) -> int | None:
        return None


def doctor(host: Host, environ: Mapping[str, str] | None = None) -> Examination:
    found = examine(str(host.write_manifest()), environ or {}, ask_units=running)
    assert "hunter2" not in repr(found)
    return found


@pytest.fixture
def healthy(host: Host) -> Host:
    return prepare(host)


def test_healthy(healthy: Host) -> None:
    found = doctor(healthy)
    assert not off(found)
    assert found.is_well == IS_ROOT
    assert told(found, "identity") == [
        f"{healthy.key_file}: ssh-ed25519 {fingerprint(healthy.key)}, the registry's key of web1; opens 2 of 2 sources"
    ]
    assert told(found, "sources") == ["2 files, 2 as they should be"]
    (manifest,) = told(found, "manifest")
    assert manifest.endswith("host web1, 2 secrets, 0 templates (2 for services)")
    (versions,) = told(found, "versions")
    for name in ("secretsmith ", "Python ", "cryptography ", "pyrage "):
        assert name in versions


# The manifest


def test_manifest_that_others_can_change(healthy: Host) -> None:
    path = healthy.write_manifest()
    path.chmod(0o666)
    found = only(examine(str(path), {}, ask_units=running))
    assert (found.code, found.severity) == (Code.ACCESS, "error")
    assert found.message.startswith("can be changed by others")
    assert f"chmod 644 {path}" in found.hint


def test_folder_above_the_manifest_that_others_can_change(healthy: Host) -> None:
    healthy.folder.chmod(0o777)
    found = {(item.code, item.path) for item in off(doctor(healthy))}
    assert found == {(Code.PATH_UNSAFE, str(healthy.folder))}


def test_manifest_through_a_link(healthy: Host) -> None:
    real = healthy.write_manifest()
    link = healthy.folder / "current.json"
    link.symlink_to(real)
    assert not off(examine(str(link), {}, ask_units=running))


@pytest.mark.parametrize("text", [None, "{", '{"version": 1}'], ids=["missing", "no JSON", "no manifest"])
def test_manifest_that_cannot_be_used(host: Host, text: str | None) -> None:
    path = host.folder / "manifest.json"
    if text is not None:
        path.write_text(text)
    found = examine(str(path), {}, ask_units=running)
    assert off(found)[0].path == str(path)
    assert told(found, "versions"), "the rest is looked at all the same"
    assert not told(found, "identity")


# Sources


def test_source_is_missing(healthy: Host) -> None:
    (healthy.folder / "db.age").unlink()
    found = off(doctor(healthy))
    assert (found[0].path, found[0].severity) == (str(healthy.folder / "db.age"), "error")
    assert told(doctor(healthy), "sources") == ["2 files, 1 as they should be"]


def test_source_that_others_can_exchange(healthy: Host) -> None:
    (healthy.folder / "db.age").chmod(0o664)
    found = only(doctor(healthy))
    assert (found.code, found.path) == (Code.ACCESS, str(healthy.folder / "db.age"))


@pytest.mark.usefixtures("as_root")
def test_source_of_somebody_else(healthy: Host) -> None:
    os.chown(healthy.folder / "db.age", 12345, -1)
    assert "can be changed by others (user 12345" in only(doctor(healthy)).message


def test_source_that_is_a_symlink(healthy: Host) -> None:
    path = healthy.folder / "db.age"
    path.rename(healthy.folder / "real.age")
    path.symlink_to(healthy.folder / "real.age")
    found = only(doctor(healthy))  # and not that no key opens it, too
    assert (found.code, found.path) == (Code.NOT_REGULAR, str(path))


def test_plaintext_on_disk_is_listed(healthy: Host) -> None:
    healthy.add("luks", b"hunter2", phase="initrd", plaintext_on_disk=True, **own())
    found = doctor(healthy)
    assert not off(found)
    (item,) = [item for item in found.findings if item.code == Code.PLAINTEXT and "luks" in item.message]
    assert item.message == "1 entry may lie on a disk in clear: luks"


# Keys


def test_no_identity_yet(healthy: Host) -> None:
    healthy.key_file.unlink()
    found = only(doctor(healthy))
    assert (found.code, found.severity, found.path) == (Code.NO_IDENTITY, "error", str(healthy.key_file))
    assert "no identity yet" in found.message
    assert "ssh-keygen -A" in found.hint


def test_identity_that_others_can_read(healthy: Host) -> None:
    healthy.key_file.chmod(0o644)
    found = only(doctor(healthy))
    assert (found.code, found.path) == (Code.ACCESS, str(healthy.key_file))
    assert f"chmod 600 {healthy.key_file}" in found.hint


def test_identity_of_a_useless_type_beside_a_good_one(healthy: Host) -> None:
    bad = ecdsa_key().write(healthy.folder, "ssh_host_ecdsa_key")
    healthy.manifest["identities"].append(str(bad))
    found = only(doctor(healthy))
    assert (found.code, found.severity, found.path) == (Code.KEY_UNSUPPORTED, "warning", str(bad))


def test_key_that_is_not_the_registered_one(healthy: Host) -> None:
    healthy.reinstall()
    registered, shut = off(doctor(healthy))
    assert registered.message.startswith(f"the registry's key of web1 is {healthy.manifest['host_key']}")
    assert registered.hint == (
        "on your workstation: secretsmith host reprovision web1 --key"
        f' "{" ".join(healthy.key.public.split()[:2])}"'
    )
    assert shut.message.startswith("2 of 2 sources are opened by no key of this host: ")


def test_sources_for_others_are_counted(healthy: Host) -> None:
    healthy.add("other", b"hunter2", ed25519_key(), **own())
    found = doctor(healthy)
    assert only(found).message.endswith(f": {healthy.folder}/other.age")
    assert told(found, "identity")[0].endswith("opens 2 of 3 sources")


def test_damaged_sources_are_not_opened(healthy: Host) -> None:
    (healthy.folder / "db.age").write_bytes(b"garbage")
    found = doctor(healthy)
    assert only(found).code == Code.FORMAT
    assert only(found).message == (
        f"1 of 2 sources are damaged, or not of the manifest's format: {healthy.folder}/db.age"
    )
    assert told(found, "identity")[0].endswith("opens 1 of 2 sources")


def test_misspelt_key_is_no_matter_of_identities(healthy: Host) -> None:
    vault = healthy.folder / "vault.yaml"
    clear = b"db:\n  password: hunter2\n"
    vault.write_bytes(new_document(Format.YAML, clear, [[derived(healthy.key)]]))
    secret = {"name": "key", "source": str(vault), "format": "yaml", "key": "db/pasword", **own()}
    healthy.manifest["secrets"].append(secret)
    found = doctor(healthy)
    assert not off(found)
    assert told(found, "identity")[0].endswith("opens 3 of 3 sources")


@pytest.mark.usefixtures("as_root")
def test_what_is_not_required_is_told_and_no_more(healthy: Host) -> None:
    healthy.add("other", b"hunter2", ed25519_key(), required=False)
    healthy.add("gone", b"hunter2", required=False)
    (healthy.folder / "gone.age").unlink()
    healthy.add("broken", b"hunter2", required=False)
    (healthy.folder / "broken.age").write_bytes(b"garbage")
    healthy.add("owned", b"hunter2", required=False, owner="postgres")
    found = examine(str(healthy.write_manifest()), {}, accounts=Nobody(), ask_units=running)
    assert not off(found)
    codes = {item.code for item in found.findings}
    assert codes >= {Code.NO_IDENTITY, Code.NOT_FOUND, Code.FORMAT, Code.OWNER}
    healthy.add("needed", b"hunter2", ed25519_key())
    assert only(doctor(healthy)).code == Code.NO_IDENTITY


def test_two_keys_open_together(healthy: Host) -> None:
    second = ed25519_key()
    healthy.manifest["identities"].append(str(second.write(healthy.folder, "second")))
    healthy.add("other", b"hunter2", second, **own())
    found = doctor(healthy)
    assert not off(found)
    assert [text.rpartition("; ")[2] for text in told(found, "identity")] == [
        "opens 2 of 3 sources",
        "opens 1 of 3 sources",
    ]


# Owners


@pytest.mark.usefixtures("as_root")
def test_owner_who_does_not_exist(healthy: Host) -> None:
    healthy.add("a", b"hunter2", owner="postgres")
    healthy.add("b", b"hunter2", owner="postgres")
    found = only(examine(str(healthy.write_manifest()), {}, accounts=Nobody(), ask_units=running))
    assert found.message == "the user postgres does not exist on this host; needed by a, b"


# The machine


def machine(folder: Path, swaps: str = "", core: str = "core") -> str:
    (folder / "swaps").write_text("Filename Type Size Used Priority\n" + swaps)
    (folder / "sys/kernel").mkdir(parents=True, exist_ok=True)
    (folder / "sys/kernel/core_pattern").write_text(f"{core}\n")
    return str(folder)


def test_machine_that_is_fine(tmp_path: Path) -> None:
    said = list(host_facts(ROOT, Scope.SYSTEM, proc=machine(tmp_path), release="6.4.0-arch1"))
    assert not [item for item in said if isinstance(item, Finding)]
    assert told(said, "user") == ["root"]
    assert told(said, "memory") == ["Linux 6.4.0-arch1: tmpfs with noswap; no swap"]


def test_machine_with_notes(tmp_path: Path) -> None:
    swaps = "/dev/zram0 partition 1 0 100\n/dev/sda2 partition 1 0 -2\n"
    proc = machine(tmp_path, swaps, "|/usr/lib/systemd/systemd-coredump %P")
    said = list(host_facts(ROOT, Scope.SYSTEM, proc=proc, release="6.1.0-44-amd64"))
    assert told(said, "memory") == [
        "Linux 6.1.0-44-amd64: ramfs, as this kernel has no noswap; swap on /dev/zram0, /dev/sda2"
    ]
    notes = [item for item in said if isinstance(item, Finding)]
    assert [item.code for item in notes] == [Code.UNSUPPORTED, Code.NO_TMPFS, Code.PLAINTEXT]
    assert {item.severity for item in notes} == {"info"}
    assert "/dev/sda2" in notes[1].message
    assert "zram" not in notes[1].message
    assert "systemd-coredump" in notes[2].message


def test_not_root(tmp_path: Path) -> None:
    user = Caller(1000, 1000, frozenset({1000}), trusted=frozenset({0, 1000}))
    said = list(host_facts(user, Scope.SYSTEM, proc=machine(tmp_path)))
    (found,) = [item for item in said if isinstance(item, Finding) and item.severity != "info"]
    assert (found.code, found.hint) == (Code.ACCESS, "sudo secretsmith doctor")
    assert not [
        item
        for item in host_facts(user, Scope.USER, proc=machine(tmp_path))
        if isinstance(item, Finding) and item.severity != "info"
    ]


# sshd


def sshd(host: Host, text: str, identity: str) -> list[Fact | Finding]:
    config = host.folder / "sshd_config"
    config.write_text(text)
    host.manifest["identities"] = [identity]
    return list(sshd_facts(parse_manifest(host.data()), str(config)))


def test_sshd_shows_another_key(host: Host) -> None:
    host.add("db")
    said = sshd(host, "Port 22\nhostkey=/etc/other/key\n", "/etc/ssh/ssh_host_ed25519_key")
    assert only(said).code == Code.HOST_KEY
    assert "sshd shows other host keys (/etc/other/key)" in only(said).message


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("HostKey /etc/ssh/ssh_host_ed25519_key\n", "/etc/ssh/ssh_host_ed25519_key"),
        ("# HostKey /etc/other\nPort 22\n", "/etc/ssh/ssh_host_ed25519_key"),
        ("Match User x\nHostKey /etc/other\n", "/etc/ssh/ssh_host_ed25519_key"),
        ("HostKey /etc/other\n", "/var/lib/secretsmith/age.txt"),
    ],
    ids=["the same", "its usual keys", "in a match", "a key of our own"],
)
def test_sshd_is_fine(host: Host, text: str, identity: str) -> None:
    host.add("db")
    assert not off(sshd(host, text, identity))


def test_sshd_includes(host: Host) -> None:
    host.add("db")
    (host.folder / "more.conf").write_text("HostKey /etc/other/key\n")
    said = sshd(host, f"Include {host.folder}/*.conf\n", "/etc/ssh/ssh_host_ed25519_key")
    assert off(said)
    endless = sshd(host, f"Include {host.folder}/sshd_config\n", "/etc/ssh/ssh_host_ed25519_key")
    assert not endless


def test_scope_user_that_is_refused_here(healthy: Host) -> None:
    healthy.manifest |= {
        "scope": "user",
        "directory": "$XDG_RUNTIME_DIR/secrets",
        "generations": "$XDG_RUNTIME_DIR/secrets.d",
    }
    for secret in healthy.manifest["secrets"]:
        secret.pop("owner", None)
        secret.pop("group", None)
    found = off(doctor(healthy))
    assert found[0].code == Code.USAGE
    assert ("for a user" in found[0].message) == IS_ROOT


@pytest.mark.usefixtures("as_root")
def test_files_of_a_user_are_not_taken_from_him_by_root(healthy: Host) -> None:
    healthy.manifest |= {
        "scope": "user",
        "directory": "$XDG_RUNTIME_DIR/secrets",
        "generations": "$XDG_RUNTIME_DIR/secrets.d",
    }
    os.chown(healthy.write_manifest(), 12345, 12345)
    found = only(examine(str(healthy.folder / "manifest.json"), {}, ask_units=running))
    assert "for a user" in found.message
