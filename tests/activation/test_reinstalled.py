"""The host's key changed: who, what, and the command to run, in one message; the world as it was."""

from __future__ import annotations

import os
import time

import pyrage
import pytest
from hosts import Host, fingerprint, ssh_tag
from keys import SshKey, ed25519_key

from secretsmith.activation.state import Moment
from secretsmith.errors import Code, ExitCode, SecretsmithError


def name_keys(host: Host, **keys: SshKey) -> None:
    host.manifest["principals"] = {
        fingerprint(key): {"name": name, "ssh_tag": ssh_tag(key)} for name, key in keys.items()
    }


def message(error: SecretsmithError) -> str:
    return "\n".join((error.message, *error.hints))


def test_the_message_says_who_what_and_how(host: Host) -> None:
    alice = ed25519_key("alice")
    for name in ("db", "smtp", "tls"):
        host.add(name, b"value", host.key, alice)
    host.manifest["host_key"] = fingerprint(host.key)
    name_keys(host, web1=host.key, alice=alice)
    host.run()
    old = host.reinstall()
    os.utime(host.key_file, (host.moment.wall - 250, host.moment.wall - 250))
    report = host.run()
    (error,) = report.errors()
    assert report.exit_code is ExitCode.CANNOT_DECRYPT
    assert error.code is Code.NO_IDENTITY
    assert error.message == "web1: this host's key does not open any of its 3 secret files"
    assert error.hints == (
        f"this host's key is 4 minutes old: {fingerprint(host.key)} ({host.key_file})",
        f"the secrets are encrypted for: web1 {fingerprint(old)}, alice {fingerprint(alice)}",
        f"the registry's key of web1 is {fingerprint(old)}",
        "the host key changed: the machine was probably reinstalled",
        "last good values stay (stale): db, smtp, tls",
        'on your workstation: secretsmith host reprovision web1 --key "'
        + " ".join(host.key.public.split()[:2])
        + '"',
    )
    assert host.installed() == dict.fromkeys(("db", "smtp", "tls"), b"value")


def test_after_reprovision_and_rekey_it_heals(host: Host) -> None:
    host.add("db", b"value")
    host.run()
    host.reinstall()
    assert host.run().exit_code is ExitCode.CANNOT_DECRYPT
    host.add("db", b"value")
    assert host.run().exit_code is ExitCode.OK
    assert host.states() == {"db": "unchanged"}


def test_a_machine_that_was_really_wiped(host: Host) -> None:
    host.add("db", b"value", ed25519_key())
    report = host.run()
    text = message(next(report.errors()))
    assert "its secret file" in text
    assert "not installed: db" in text
    assert "with ssh tag" in text, "a key that the manifest does not name is said so"
    assert host.installed() == {}


def test_anonymous_stanzas_say_that_they_are(host: Host) -> None:
    path = host.folder / "db.age"
    host.add("db", readers=[fingerprint(host.key)])
    name_keys(host, web1=host.key)
    recipients = [pyrage.x25519.Identity.generate().to_public() for _ in range(2)]
    path.write_bytes(pyrage.encrypt(b"x", recipients))
    text = message(next(host.run().errors()))
    assert "encrypted for: 2 anonymous age1… keys (such stanzas do not say whose)" in text
    assert f"by the manifest they are for: web1 {fingerprint(host.key)}" in text


def test_the_registered_key_with_files_that_lag_behind(host: Host) -> None:
    host.manifest["host_key"] = fingerprint(host.key)
    host.add("db", b"value", ed25519_key())
    text = message(next(host.run().errors()))
    assert "reinstalled" not in text
    assert text.endswith("on your workstation: secretsmith rekey")


def test_one_of_two_opened_is_no_reinstallation(host: Host) -> None:
    alice = ed25519_key()
    name_keys(host, alice=alice)
    host.add("good")
    host.add("bad", b"x", alice)
    (error,) = host.run().errors()
    assert error.message.startswith("web1: bad: ")
    assert error.message.endswith(f"is not encrypted for this host; it is for: alice {fingerprint(alice)}")


def test_no_key_yet(host: Host) -> None:
    host.add("db")
    host.key_file.unlink()
    report = host.run()
    text = message(next(report.errors()))
    assert report.exit_code is ExitCode.CANNOT_DECRYPT
    assert f"no identity yet: {host.key_file} does not exist" in text
    assert "ssh-keygen -A" in text


@pytest.mark.parametrize(
    ("mode", "content", "said"),
    [
        (0o644, None, "readable or writable by others"),
        (0o620, None, "readable or writable by others"),
        (0o600, b"", "no identity in the file"),
        (0o600, b"garbage", "host_key"),
        (
            0o600,
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            "malformed",
        ),
        (0o600, b"AGE-PLUGIN-YUBIKEY-1QQQSYQCYQ\n", "host_key"),
    ],
)
def test_a_key_that_cannot_be_used(host: Host, mode: int, content: bytes | None, said: str) -> None:
    host.add("db")
    if content is not None:
        host.key_file.write_bytes(content)
    host.key_file.chmod(mode)
    report = host.run()
    text = message(next(report.errors()))
    assert report.exit_code is ExitCode.CANNOT_DECRYPT
    assert said in text
    assert "garbage" not in text


def test_a_key_with_a_passphrase_is_not_asked_for(host: Host) -> None:
    host.add("db")
    ed25519_key(passphrase=b"secret").write(host.folder, "host_key")
    assert "activation never asks" in message(next(host.run().errors()))


def test_a_symlink_in_the_keys_place(host: Host) -> None:
    host.add("db")
    host.key_file.rename(host.folder / "elsewhere")
    host.key_file.symlink_to(host.folder / "elsewhere")
    assert "is a symlink" in message(next(host.run().errors()))


@pytest.mark.usefixtures("as_root")
def test_a_key_of_somebody_else(host: Host) -> None:
    host.add("db")
    os.chown(host.key_file, 65534, 65534)
    assert "belongs to user 65534" in message(next(host.run().errors()))


def test_identities_add_up(host: Host) -> None:
    second = ed25519_key()
    age = pyrage.x25519.Identity.generate()
    second.write(host.folder, "second")
    (host.folder / "keys.txt").write_text(f"# created\n{age}\n")
    (host.folder / "keys.txt").chmod(0o600)
    host.manifest["identities"] += [str(host.folder / name) for name in ("missing", "second", "keys.txt")]
    host.add("one", b"1")
    host.add("two", b"2", second)
    host.add("three", b"3")
    (host.folder / "three.age").write_bytes(pyrage.encrypt(b"3", [age.to_public()]))
    assert host.run().exit_code is ExitCode.OK
    assert host.installed() == {"one": b"1", "two": b"2", "three": b"3"}


def test_a_host_key_in_its_derived_form(host: Host) -> None:
    from secretsmith.crypto.publickey import parse_public_key

    derived = parse_public_key(host.key.public).derived
    host.add("db")
    (host.folder / "db.age").write_bytes(pyrage.encrypt(b"x", [pyrage.x25519.Recipient.from_str(derived)]))
    assert host.run().exit_code is ExitCode.OK
    assert host.installed() == {"db": b"x"}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "brand new"), (90, "1 minute old"), (7200, "2 hours old"), (-9e8, "dated in the future")],
)
def test_the_age_of_the_key(host: Host, seconds: float, said: str) -> None:
    host.add("db", b"x", ed25519_key())
    host.moment = Moment(time.time() + 1, 1.0)
    os.utime(host.key_file, (host.moment.wall - seconds, host.moment.wall - seconds))
    assert said in message(next(host.run().errors()))
