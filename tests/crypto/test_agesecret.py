"""Age identity files, plain and under a passphrase."""

from __future__ import annotations

import os
import pty
import select
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from agemaker import age_file
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.crypto import bech32, hybrid, parameters
from secretsmith.crypto.agefile import encrypt_age
from secretsmith.crypto.agesecret import (
    AgeSecret,
    PluginSecret,
    is_locked_identity_file,
    locked_identity_file,
    parse_age_identities,
)
from secretsmith.crypto.passphrase import decrypt_scrypt
from secretsmith.crypto.publickey import KeyKind
from secretsmith.errors import CannotDecrypt, Code, RefusedInput, SecretsmithError
from secretsmith.sensitive import Sensitive

Within = Callable[[float], AbstractContextManager[None]]
SECRET = bech32.encode("AGE-SECRET-KEY-", bytes(range(32)))
PLUGIN = bech32.encode("AGE-PLUGIN-FIDO2-HMAC-", b"data")
HYBRID = bech32.encode("AGE-SECRET-KEY-PQ-", bytes(range(32)))


def refusal(data: bytes) -> RefusedInput:
    """Parse and give the refusal, which repeats no key."""
    with pytest.raises(RefusedInput) as caught:
        parse_age_identities(data)
    assert SECRET[16:40] not in caught.value.message + " ".join(caught.value.hints)
    return caught.value


def test_a_file_as_age_keygen_writes_it() -> None:
    text = f"# created: 2026-01-01T00:00:00Z\n# public key: age1…\n{SECRET}\r\n\n  {PLUGIN}  \n"
    age, plugin = parse_age_identities(text.encode())
    assert isinstance(age, AgeSecret)
    assert (age.text, age.raw) == (Sensitive(SECRET.encode()), Sensitive(bytes(range(32))))
    assert plugin == PluginSecret("fido2-hmac", Sensitive(PLUGIN.encode()))


@given(st.binary(min_size=32, max_size=32))
def test_every_scalar_has_a_public_key(scalar: bytes) -> None:
    (secret,) = parse_age_identities(bech32.encode("AGE-SECRET-KEY-", scalar).encode())
    assert isinstance(secret, AgeSecret)
    assert secret.public.text.startswith("age1")


def test_post_quantum_keys_stand_beside_others() -> None:
    hybrid_key, key = parse_age_identities(f"{HYBRID}\n{SECRET}\n".encode())
    assert hybrid_key == AgeSecret(
        Sensitive(HYBRID.encode()), Sensitive(bytes(range(32))), kind=KeyKind.HYBRID
    )
    assert isinstance(hybrid_key, AgeSecret)
    assert isinstance(key, AgeSecret)
    assert (hybrid_key.public.kind, key.public.kind) == (KeyKind.HYBRID, KeyKind.X25519)


def test_post_quantum_keys_are_passed_over_where_the_library_lacks_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hybrid, "is_available", lambda: False)
    assert len(parse_age_identities(f"{HYBRID}\n{SECRET}\n".encode())) == 1
    problem = refusal(HYBRID.encode())
    assert problem.code is Code.KEY_UNSUPPORTED
    assert "cryptography" in problem.hints[0]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.EMPTY),
        (b"# nothing\n\n", Code.EMPTY),
        (f"{SECRET}\nhello\n".encode(), Code.KEY_FORMAT),
        (SECRET.lower().encode(), Code.KEY_FORMAT),
        ((SECRET[:-3] + SECRET[-3:].lower()).encode(), Code.KEY_FORMAT),
        (SECRET[:-1].encode(), Code.KEY_FORMAT),
        (f"{SECRET} {SECRET}".encode(), Code.KEY_FORMAT),
        (bech32.encode("AGE-SECRET-KEY-", bytes(31)).encode(), Code.KEY_FORMAT),
        (bech32.encode("AGE-SECRET-KEY-PQ-", bytes(33)).encode(), Code.KEY_FORMAT),
        (HYBRID.lower().encode(), Code.KEY_FORMAT),
        (b"\xff\xfe", Code.KEY_FORMAT),
        (b"age1qqqq\n", Code.KEY_FORMAT),
        (b"#" * (parameters.MAX_IDENTITY_FILE + 1), Code.TOO_BIG),
        (f"{PLUGIN}\n".encode() * (parameters.MAX_IDENTITIES + 1), Code.TOO_BIG),
    ],
    ids=[
        "empty",
        "comments",
        "junk",
        "lower",
        "mixed",
        "cut",
        "two",
        "short",
        "long-hybrid",
        "lower-hybrid",
        "bytes",
        "public",
        "big",
        "many",
    ],
)
def test_refusals(data: bytes, code: Code, within: Within) -> None:
    with within(2):
        assert refusal(data).code is code


def test_the_error_names_the_line() -> None:
    assert refusal(f"# a\n\n{SECRET[:-1]}Q\n".encode()).message.startswith("line 3: ")


# Under a passphrase


def _age_p(age: str, text: bytes, passphrase: str, folder: Path, armor: bool) -> bytes:
    """Run the real ``age -p`` on a terminal of its own, since it reads passphrases only there."""
    plain, sealed = folder / "plain", folder / "sealed"
    plain.write_bytes(text)
    child, terminal = pty.fork()
    if child == 0:
        os.execv(age, [age, "-p", *(["-a"] if armor else []), "-o", str(sealed), str(plain)])
    answered = 0
    shown = b""
    while True:
        try:
            select.select([terminal], [], [], 30)
            part = os.read(terminal, 1024)
        except OSError:
            break
        if not part:
            break
        shown += part
        if shown.count(b"assphrase") > answered and shown.rstrip().endswith(b":"):
            answered = shown.count(b"assphrase")
            os.write(terminal, passphrase.encode() + b"\n")
    os.close(terminal)
    assert os.waitpid(child, 0)[1] == 0, shown
    return sealed.read_bytes()


@pytest.mark.parametrize("armor", [True, False])
def test_a_file_of_age_p(armor: bool, tmp_path: Path, peer: Callable[[str], str]) -> None:
    data = _age_p(peer("age"), f"# mine\n{SECRET}\n".encode(), "correct horse", tmp_path, armor)
    assert is_locked_identity_file(data)
    locked = locked_identity_file(data)
    (secret,) = locked.unlock(Sensitive(b"correct horse"))
    assert isinstance(secret, AgeSecret)
    assert secret.text == Sensitive(SECRET.encode())
    with pytest.raises(CannotDecrypt) as caught:
        locked.unlock(Sensitive(b"wrong"))
    assert caught.value.code is Code.PASSPHRASE
    with pytest.raises(RefusedInput) as unread:
        parse_age_identities(data)
    assert unread.value.code is Code.PASSPHRASE


def test_an_identity_file_encrypted_to_keys() -> None:
    (secret,) = parse_age_identities(SECRET.encode())
    assert isinstance(secret, AgeSecret)
    data = encrypt_age(Sensitive(SECRET.encode()), [secret.public.text], armor=True)
    with pytest.raises(CannotDecrypt) as caught:
        locked_identity_file(data)
    assert caught.value.code is Code.NO_IDENTITY


@pytest.mark.parametrize("factor", [21, 22])
def test_too_much_work_is_refused_before_it_starts(factor: int, within: Within) -> None:
    data = age_file(f"-> scrypt {'A' * 22} {factor}\n".encode() + b"A" * 43 + b"\n")
    with within(0.5), pytest.raises(SecretsmithError) as caught:
        decrypt_scrypt(data, Sensitive(b"x"))
    assert caught.value.code is Code.AGE_SCRYPT
