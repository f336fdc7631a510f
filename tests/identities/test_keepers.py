from __future__ import annotations

from pathlib import Path
from typing import Any

import keys
import pytest
from lockedfiles import locked_file
from people import Scripted

from secretsmith.crypto.publickey import fingerprint_of
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.identities import kernelkeys
from secretsmith.identities.keepers import HELD, REMEMBERED, Keepers
from secretsmith.identities.locked import LockedKey, unlock
from secretsmith.identities.parse import parse_keys
from secretsmith.interaction import NoInteraction
from secretsmith.sensitive import Sensitive

PASSPHRASE = Sensitive(b"s3same")


def ssh() -> LockedKey:
    (locked,) = parse_keys(keys.ed25519_key(passphrase=b"s3same").private, "KEY", NoInteraction()).locked
    return locked


def age_file() -> LockedKey:
    import pyrage

    text = "\n".join(str(pyrage.x25519.Identity.generate()) for _ in range(2))
    data = locked_file(text.encode(), "s3same")
    (locked,) = parse_keys(data, "KEYS", NoInteraction()).locked
    return locked


def pem() -> LockedKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    data = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"s3same"),
    )
    (locked,) = parse_keys(data, "PEM", NoInteraction()).locked
    return locked


class Desktop:
    """The desktop's keyring, as a function of the entry; counts what it is asked."""

    def __init__(self, answer: Sensitive | SecretsmithError | None) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def passphrase(self, entry: str) -> Sensitive | None:
        self.asked.append(entry)
        if isinstance(self.answer, SecretsmithError):
            raise self.answer
        return self.answer


def made(desktop: Desktop, person: Scripted | None = None) -> Keepers:
    keepers = Keepers({}, person or Scripted())
    keepers._desktop = desktop  # type: ignore[assignment]
    return keepers


@pytest.mark.parametrize("make", [ssh, age_file, pem])
def test_what_was_unlocked_once_is_restored_without_the_passphrase(make: Any) -> None:
    key = make()
    before = unlock(key, PASSPHRASE)
    after = key.restore(key.material(PASSPHRASE))
    assert [identity.fingerprint for identity in after] == [identity.fingerprint for identity in before]
    assert key.entry.startswith("SHA256:")


def test_entry_is_the_fingerprint_where_the_file_itself_shows_it() -> None:
    key = ssh()
    assert key.public is not None
    assert key.entry == key.public.fingerprint


def test_entry_of_a_file_that_shows_none_is_its_own_digest(tmp_path: Path) -> None:

    data = locked_file(b"AGE", "s3same")
    (locked,) = parse_keys(data, "KEYS", NoInteraction()).locked
    assert locked.entry == fingerprint_of(data)


def test_a_key_file_beside_does_not_choose_the_entry() -> None:
    """Somebody who can write a .pub file beside a PEM key must not choose whose passphrase is tried on it."""
    from secretsmith.crypto.publickey import parse_public_key

    other = parse_public_key(keys.ed25519_key().public)
    key = pem()
    data = key.key._data  # type: ignore[attr-defined]
    (locked,) = parse_keys(data, "PEM", NoInteraction(), other).locked
    assert locked.entry != other.fingerprint


def test_another_key_is_not_restored_as_this_one() -> None:
    one, other = ssh(), ssh()
    with pytest.raises(RefusedInput):
        one.restore(other.material(PASSPHRASE))


@pytest.mark.parametrize(
    "answer", [PASSPHRASE, Sensitive(b"wrong"), None, SecretsmithError(Code.KEYRING, "is off")]
)
def test_desktop_is_asked_once_for_a_key_whatever_it_says(
    answer: Sensitive | SecretsmithError | None,
) -> None:
    desktop, person, key = Desktop(answer), Scripted(), ssh()
    keepers = made(desktop, person)
    first = keepers.from_desktop(key, "KEY")
    assert keepers.from_desktop(key, "KEY") == first
    assert desktop.asked == [key.entry]
    assert bool(first[0]) is (answer == PASSPHRASE)
    assert (first[1] == REMEMBERED) is (answer == PASSPHRASE)
    assert len(person.notices) == (1 if answer == Sensitive(b"wrong") else 0)


@pytest.mark.parametrize("text", [b"", b"garbage", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"])
def test_garbage_in_the_kernel_is_a_remark(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(kernelkeys, "take", lambda _: Sensitive(text))
    identities, remark = made(Desktop(None)).from_kernel(ssh(), "KEY")
    assert identities == ()
    assert remark.startswith("what the kernel's keyring holds is not used: ")


def test_kernel_gives_the_key_and_one_without_a_keyring_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    key = ssh()
    monkeypatch.setattr(kernelkeys, "take", lambda _: key.material(PASSPHRASE))
    identities, remark = made(Desktop(None)).from_kernel(key, "KEY")
    assert [identity.fingerprint for identity in identities] == [key.entry]
    assert remark == HELD

    def refused(_: str) -> None:
        raise SecretsmithError(Code.UNSUPPORTED, "no")

    monkeypatch.setattr(kernelkeys, "take", refused)
    assert made(Desktop(None)).from_kernel(key, "KEY") == ((), "")


def test_locked_files_of_these_tests_are_age_files() -> None:
    """Made by hand, for the sake of speed; another implementation opens them."""
    import pyrage

    assert pyrage.passphrase.decrypt(locked_file(b"hunter2", "s3same"), "s3same") == b"hunter2"
