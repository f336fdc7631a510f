"""Post-quantum keys: reading files of age 1.3, which is a further peer; the vectors are in test_testkit.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from agekinds import VALUE, X25519, failure
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mlkem

from secretsmith.crypto import bech32, hybrid
from secretsmith.crypto.agefile import decrypt_age, inspect_age
from secretsmith.crypto.agesecret import AgeSecret, parse_age_identities
from secretsmith.crypto.evidence import Evidence, evidence_of
from secretsmith.crypto.identity import AgeIdentity
from secretsmith.crypto.publickey import KeyKind, parse_public_key
from secretsmith.errors import Code
from secretsmith.sensitive import Sensitive

if not hybrid.is_available():
    pytest.skip("the installed cryptography has no ML-KEM", allow_module_level=True)


def _identity(seed: bytes = bytes(range(32))) -> AgeIdentity:
    (secret,) = parse_age_identities(bech32.encode("AGE-SECRET-KEY-PQ-", seed).encode())
    assert isinstance(secret, AgeSecret)
    return AgeIdentity(secret, "test")


MINE, OTHER = _identity(), _identity(bytes(32))


def test_the_public_key() -> None:
    public = MINE.public
    assert public.kind is KeyKind.HYBRID
    assert public == parse_public_key(public.text)
    assert MINE.fingerprint == public.fingerprint != OTHER.fingerprint
    assert len(bech32.decode(public.text)[1]) == 1216
    assert bytes(range(8, 24)) not in repr([MINE, MINE._secret]).encode()


@pytest.fixture
def newest(peer: Callable[[str], str]) -> str:
    """age 1.3, called age-1.3 beside the system's age."""
    return peer("age-1.3")


def _encrypted(age: str, value: Sensitive, *recipients: AgeIdentity, armor: bool = False) -> bytes:
    words = [word for each in recipients for word in ("-r", each.public.text)]
    return subprocess.run(
        [age, *(["-a"] if armor else []), *words], input=value.expose(), capture_output=True, check=True
    ).stdout


@pytest.mark.parametrize("armor", [True, False])
@pytest.mark.parametrize("size", [0, 1, 65536, 200_000])
def test_files_of_age(newest: str, size: int, armor: bool) -> None:
    value = Sensitive(bytes(size))
    data = _encrypted(newest, value, OTHER, MINE, armor=armor)
    for identity in (MINE, OTHER):
        opened = decrypt_age(data, [X25519, identity])
        assert (opened.plaintext, opened.identity, opened.armored) == (value, identity, armor)
    assert evidence_of(inspect_age(data)[0]) == (Evidence("hybrid"),) * 2
    assert failure(data, X25519).code is Code.NO_IDENTITY


def test_a_file_for_somebody_else(newest: str) -> None:
    data = _encrypted(newest, VALUE, OTHER)
    assert failure(data, MINE).code is Code.NO_IDENTITY


def test_damage(newest: str) -> None:
    data = _encrypted(newest, VALUE, MINE)
    end = inspect_age(data)[0].end
    assert failure(data[:-1], MINE).code is Code.AGE_TRUNCATED
    for place in (40, 1500, end - 60):
        changed = data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]
        assert failure(changed, MINE).code in (Code.AGE_HEADER, Code.NO_IDENTITY)


def test_a_longer_file_key_is_none(monkeypatch: pytest.MonkeyPatch, newest: str) -> None:
    """The header's check of the body's length holds it already; the reader does not rely on that."""

    class Suite:
        def decrypt(self, *_: Any) -> bytes:
            return bytes(17)

    identity = _identity()
    monkeypatch.setattr(hybrid.HybridKey, "_suite", Suite())
    assert failure(_encrypted(newest, VALUE, identity), identity).code is Code.NO_IDENTITY


# Where cryptography is older, or built on a library without ML-KEM


@pytest.fixture
def _asked_again() -> Any:
    hybrid.is_available.cache_clear()
    yield
    hybrid.is_available.cache_clear()


@pytest.mark.usefixtures("_asked_again")
@pytest.mark.parametrize(
    "module", ["cryptography.hazmat.primitives.hpke", "cryptography.hazmat.primitives.asymmetric.mlkem"]
)
def test_an_older_library(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module.rpartition(".")
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delattr(sys.modules[name[0]], name[2], raising=False)
    assert not hybrid.is_available()


@pytest.mark.usefixtures("_asked_again")
def test_a_library_without_ml_kem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: bytes) -> NoReturn:
        raise UnsupportedAlgorithm("no ML-KEM")

    class Key:
        from_seed_bytes = staticmethod(refuse)

    monkeypatch.setattr(mlkem, "MLKEM768PrivateKey", Key)
    assert not hybrid.is_available()


@pytest.mark.usefixtures("_asked_again")
def test_a_key_of_age_keygen(newest: str, tmp_path: Path) -> None:
    """age reads our spelling of the private key, and opens what is for its public half."""
    key = tmp_path / "key.txt"
    key.write_text(bech32.encode("AGE-SECRET-KEY-PQ-", bytes(range(32))) + "\n")
    data = _encrypted(newest, VALUE, MINE)
    out = subprocess.run([newest, "-d", "-i", str(key)], input=data, capture_output=True, check=True)
    assert out.stdout == VALUE.expose()
