"""The order in which a ring asks for locked keys: kernel, desktop, person; and who is never asked."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from people import Scripted

from secretsmith.crypto.agefile import decrypt_age
from secretsmith.errors import CannotDecrypt
from secretsmith.identities.desktop import DesktopKeyring
from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import Interaction, NoInteraction
from secretsmith.sensitive import Sensitive

VALUE = b"canary-of-the-keyrings"


class Keyrings:
    """Both keyrings in memory, with a record of what was asked, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kernel: dict[str, Sensitive] = {}
        self.desktop: dict[str, Sensitive] = {}
        self.asked: list[tuple[str, str]] = []
        monkeypatch.setattr("secretsmith.identities.kernelkeys.take", self._take)
        monkeypatch.setattr(DesktopKeyring, "passphrase", lambda _, entry: self._passphrase(entry))

    def _take(self, entry: str) -> Sensitive | None:
        self.asked.append(("kernel", entry))
        return self.kernel.get(entry)

    def _passphrase(self, entry: str) -> Sensitive | None:
        self.asked.append(("desktop", entry))
        return self.desktop.get(entry)


@pytest.fixture
def keyrings(monkeypatch: pytest.MonkeyPatch) -> Keyrings:
    return Keyrings(monkeypatch)


@pytest.fixture
def seal(tmp_path: Path, peer: Callable[[str], str]) -> Callable[..., bytes]:
    """Encrypt with the real age."""

    def sealed(*publics: str) -> bytes:
        argv = [peer("age"), *(word for public in publics for word in ("-r", public))]
        return subprocess.run(argv, input=VALUE, capture_output=True, check=True).stdout

    return sealed


def locked(folder: Path, name: str) -> tuple[keys.SshKey, str]:
    made = keys.ed25519_key(passphrase=b"s3same")
    made.write(folder, name)
    from secretsmith.crypto.publickey import parse_public_key

    return made, parse_public_key(made.public).fingerprint


def material(folder: Path, name: str) -> Sensitive:
    from secretsmith.identities.parse import parse_keys

    (key,) = parse_keys((folder / name).read_bytes(), name, NoInteraction()).locked
    return key.material(Sensitive(b"s3same"))


def ring_of(folder: Path, names: str, person: Interaction, *, as_root: bool = False) -> IdentityRing:
    environ = {"HOME": str(folder), "SECRETSMITH_IDENTITY": names}
    return IdentityRing(environ, person, cwd=folder, as_root=as_root)


def opened(ring: IdentityRing, data: bytes) -> bytes:
    return decrypt_age(data, ring.for_data(data)).plaintext.expose()


def test_kernel_before_desktop_before_a_question(
    tmp_path: Path, keyrings: Keyrings, seal: Callable[..., bytes]
) -> None:
    one, first = locked(tmp_path, "one")
    two, second = locked(tmp_path, "two")
    data = seal(one.public, two.public)
    person = Scripted(["s3same"])
    assert opened(ring_of(tmp_path, "one:two", person), data) == VALUE
    assert keyrings.asked == [("kernel", first), ("kernel", second), ("desktop", first), ("desktop", second)]
    assert len(person.asked) == 1

    keyrings.asked.clear()
    keyrings.desktop[second] = Sensitive(b"s3same")
    ring = ring_of(tmp_path, "one:two", Scripted())
    assert opened(ring, data) == VALUE
    assert [item.outcome for item in ring.trace()[:2]] == [
        "locked; its passphrase is not in the desktop's keyring",
        "used; passphrase from the desktop's keyring",
    ]

    keyrings.asked.clear()
    keyrings.kernel[second] = material(tmp_path, "two")
    ring = ring_of(tmp_path, "one:two", Scripted())
    assert opened(ring, data) == VALUE
    assert keyrings.asked == [("kernel", first), ("kernel", second)]
    assert ring.trace()[1].outcome == "used; held by the kernel's keyring"


def test_each_is_asked_once_a_run(tmp_path: Path, keyrings: Keyrings, seal: Callable[..., bytes]) -> None:
    one, first = locked(tmp_path, "one")
    ring = ring_of(tmp_path, "one", NoInteraction())
    for _ in range(3):
        with pytest.raises(CannotDecrypt):
            opened(ring, seal(one.public))
    assert keyrings.asked == [("kernel", first), ("desktop", first)]


def test_same_key_in_two_places_is_restored_in_both(
    tmp_path: Path, keyrings: Keyrings, seal: Callable[..., bytes]
) -> None:
    """A second place of a key that does not open the file must not lead to a question."""
    _, first = locked(tmp_path, "one")
    (tmp_path / "copy").write_bytes((tmp_path / "one").read_bytes())
    keyrings.kernel[first] = material(tmp_path, "one")
    other = keys.ed25519_key()
    from secretsmith.crypto.publickey import parse_public_key

    with pytest.raises(CannotDecrypt):
        opened(ring_of(tmp_path, "one:copy", Scripted()), seal(parse_public_key(other.public).derived))
    assert keyrings.asked == [("kernel", first)]


def test_unlocked_key_and_foreign_header_ask_no_keyring(
    tmp_path: Path, keyrings: Keyrings, seal: Callable[..., bytes]
) -> None:
    one, _ = locked(tmp_path, "one")
    other = keys.ed25519_key()
    other.write(tmp_path, "plain")
    assert opened(ring_of(tmp_path, "one:plain", NoInteraction()), seal(one.public, other.public)) == VALUE
    with pytest.raises(CannotDecrypt):
        opened(ring_of(tmp_path, "one", NoInteraction()), seal(other.public))
    assert keyrings.asked == []


def test_neither_root_nor_a_ring_of_files_asks_a_keyring(
    tmp_path: Path, keyrings: Keyrings, seal: Callable[..., bytes]
) -> None:
    one, first = locked(tmp_path, "one")
    keyrings.kernel[first] = material(tmp_path, "one")
    keyrings.desktop[first] = Sensitive(b"s3same")
    for ring in (
        ring_of(tmp_path, "one", NoInteraction(), as_root=True),
        IdentityRing.of_files([tmp_path / "one"], NoInteraction()),
    ):
        with pytest.raises(CannotDecrypt):
            opened(ring, seal(one.public))
        assert ring.survey()[0].outcome == "locked: no terminal to ask for its passphrase"
    assert keyrings.asked == []


def test_survey_and_questions_about_keys_ask_no_keyring(
    tmp_path: Path, keyrings: Keyrings, seal: Callable[..., bytes]
) -> None:
    one, first = locked(tmp_path, "one")
    ring = ring_of(tmp_path, "one", NoInteraction())
    assert ring.may_open(seal(one.public))
    assert ring.survey()[0].entry == first
    assert [shown for shown, _ in ring.locked_keys()] == [f"{tmp_path}/one"]
    assert ring.own_keys()
    assert keyrings.asked == []
