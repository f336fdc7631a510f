"""Plugins as places of the ring: after our own places, before the person, once, and never in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import keys
import pytest
from people import Scripted

from secretsmith.crypto.agefile import decrypt_age
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.errors import CannotDecrypt, Code, SecretsmithError
from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import Interaction, NoInteraction
from secretsmith.sensitive import Sensitive

VALUE = b"canary-of-the-plugins"


class Plugin:
    """Offers keys and passphrases from memory, with a record of what it was asked."""

    name = "plugin vault"

    def __init__(self, offered: list[bytes] | None = None, known: Mapping[str, str] | None = None) -> None:
        self.offered = offered or []
        self.known = known or {}
        self.asked: list[str] = []
        self.before: Callable[[], None] = lambda: None

    def offers(self) -> Iterator[tuple[str, Sensitive]]:
        for number, text in enumerate(self.offered):
            self.asked.append(f"key {number}")
            self.before()
            yield f"number {number}", Sensitive(text)

    def passphrase(self, entry: str) -> Sensitive | None:
        self.asked.append(entry)
        self.before()
        found = self.known.get(entry)
        return None if found is None else Sensitive(found.encode())


def locked(folder: Path, name: str) -> tuple[keys.SshKey, str]:
    made = keys.ed25519_key(passphrase=b"s3same")
    made.write(folder, name)
    return made, parse_public_key(made.public).fingerprint


def ring_of(folder: Path, names: str, person: Interaction, *, as_root: bool = False) -> IdentityRing:
    environ = {"HOME": str(folder), "SECRETSMITH_IDENTITY": names, "SECRETSMITH_KEYRING": "off"}
    return IdentityRing(environ, person, cwd=folder, as_root=as_root)


def opened(ring: IdentityRing, data: bytes) -> bytes:
    return decrypt_age(data, ring.for_data(data)).plaintext.expose()


def sealed(*lines: str) -> bytes:
    return seal_value(
        Format.AGE, Sensitive(VALUE), [parse_public_key(line).text for line in lines], armor=False
    )


def with_plugins(ring: IdentityRing, *plugins: Plugin) -> IdentityRing:
    ring.provided_by(lambda: plugins)
    return ring


def test_keys_are_asked_for_one_by_one_and_kept(tmp_path: Path) -> None:
    made = [keys.ed25519_key() for _ in range(3)]
    plugin = Plugin([key.private for key in made])
    ring = with_plugins(ring_of(tmp_path, "", NoInteraction()), plugin)
    assert plugin.asked == []
    assert opened(ring, sealed(made[1].public)) == VALUE
    assert plugin.asked == ["key 0", "key 1"]
    assert opened(ring, sealed(made[0].public)) == VALUE
    assert plugin.asked == ["key 0", "key 1"], "what it gave is kept, and the rest is for later"
    assert [item.outcome for item in ring.trace() if item.source == "plugin vault"] == [
        "used; number 0",
        "used; number 1",
    ]
    assert ring.may_open(sealed(made[2].public))
    assert plugin.asked[-1] == "key 2"


def test_own_places_come_first_and_the_person_last(tmp_path: Path) -> None:
    made, entry = locked(tmp_path, "one")
    plain = keys.ed25519_key()
    plain.write(tmp_path, "plain")
    plugin = Plugin([keys.ed25519_key().private])
    person = Scripted(["s3same"])
    ring = with_plugins(ring_of(tmp_path, "one:plain", person), plugin)
    assert opened(ring, sealed(made.public, plain.public)) == VALUE
    assert (plugin.asked, person.asked) == ([], [])
    assert opened(ring, sealed(made.public)) == VALUE
    assert plugin.asked == [entry, "key 0"]
    assert len(person.asked) == 1


def test_passphrase_unlocks_without_a_question(tmp_path: Path) -> None:
    made, entry = locked(tmp_path, "one")
    ring = with_plugins(ring_of(tmp_path, "one", Scripted()), Plugin(known={entry: "s3same"}))
    assert opened(ring, sealed(made.public)) == VALUE
    assert ring.trace()[0].outcome == "used; passphrase from plugin vault"


def test_wrong_passphrase_is_a_remark_and_not_tried_again(tmp_path: Path) -> None:
    made, entry = locked(tmp_path, "one")
    plugin = Plugin(known={entry: "nope"})
    ring = with_plugins(ring_of(tmp_path, "one", NoInteraction()), plugin)
    for _ in range(2):
        with pytest.raises(CannotDecrypt):
            opened(ring, sealed(made.public))
    assert plugin.asked == [entry]
    assert (
        "plugin vault gave a passphrase: the passphrase of the private key is wrong"
        in ring.trace()[0].outcome
    )


def test_what_breaks_is_a_remark_and_the_next_one_is_asked(tmp_path: Path) -> None:
    def fail() -> None:
        raise SecretsmithError(Code.PLUGIN_FAILED, "identity vault (vault 1) failed with ZeroDivisionError")

    good = keys.ed25519_key()
    broken, garbage, helpful = Plugin([good.private]), Plugin([b"hunter2"]), Plugin([good.private])
    broken.before = fail
    ring = with_plugins(ring_of(tmp_path, "", NoInteraction()), broken, garbage, helpful)
    assert opened(ring, sealed(good.public)) == VALUE
    outcomes = [item.outcome for item in ring.trace() if item.source == "plugin vault"]
    assert outcomes[0] == "skipped: identity vault (vault 1) failed with ZeroDivisionError"
    assert outcomes[1].startswith("skipped: number 0: ")
    assert outcomes[2] == "used; number 0"
    assert "hunter2" not in str(outcomes)


def test_plugin_that_opens_a_file_itself_is_not_asked_for_it(tmp_path: Path) -> None:
    """Its context opens files with this ring: without a stop it would ask itself for ever."""
    good, other = keys.ed25519_key(), keys.ed25519_key()
    plugin = Plugin([other.private, good.private])
    ring = with_plugins(ring_of(tmp_path, "", NoInteraction()), plugin)
    refused: list[CannotDecrypt] = []

    def open_it() -> None:
        try:
            opened(ring, sealed(good.public))
        except CannotDecrypt as error:
            refused.append(error)

    plugin.before = open_it
    assert opened(ring, sealed(good.public)) == VALUE
    assert len(refused) == 2


def test_never_as_root_and_never_for_given_files(tmp_path: Path) -> None:
    made, entry = locked(tmp_path, "one")
    plugin = Plugin([made.private], {entry: "s3same"})
    for ring in (
        ring_of(tmp_path, "one", NoInteraction(), as_root=True),
        IdentityRing.of_files([tmp_path / "one"], NoInteraction()),
    ):
        with pytest.raises(CannotDecrypt):
            opened(with_plugins(ring, plugin), sealed(made.public))
        assert not ring.may_open(sealed(keys.ed25519_key().public))
    assert plugin.asked == []
