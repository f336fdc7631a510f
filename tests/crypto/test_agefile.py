"""Whole age files: round trips, recipients, which identity opens."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import keys
import pytest
from agekinds import DERIVED, ED25519, KINDS, RSA, VALUE, X25519, age_identity, by_kind, failure, ssh_identity
from agemaker import age_file
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from secretsmith.crypto import _pyrage, bech32
from secretsmith.crypto.agefile import Opened, decrypt_age, encrypt_age, inspect_age
from secretsmith.crypto.evidence import Evidence, evidence_of
from secretsmith.crypto.header import is_grease
from secretsmith.crypto.identity import AgeIdentity, Identity, SshIdentity
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import CannotDecrypt, Code, ExitCode, IntegrityFailure, RefusedInput, SecretsmithError
from secretsmith.sensitive import Sensitive

Within = Callable[[float], AbstractContextManager[None]]


# Round trips


@by_kind
@pytest.mark.parametrize("armor", [True, False])
def test_round_trip(kind: str, armor: bool) -> None:
    recipient, identity = KINDS[kind]
    data = encrypt_age(VALUE, [recipient], armor=armor)
    opened = decrypt_age(data, [identity])
    assert opened == Opened(VALUE, identity, armor, inspect_age(data)[0])
    assert b"CANARY" not in data


@settings(max_examples=60)
@given(st.binary(max_size=300_000), st.booleans(), st.sampled_from(sorted(KINDS)))
def test_any_value_round_trips(value: bytes, armor: bool, kind: str) -> None:
    recipient, identity = KINDS[kind]
    assert decrypt_age(
        encrypt_age(Sensitive(value), [recipient], armor=armor), [identity]
    ).plaintext == Sensitive(value)


# Recipients


def test_repeated_recipients_count_once() -> None:
    again = ED25519.public.replace(" ed25519", " another comment")
    data = encrypt_age(VALUE, [ED25519.public, again, DERIVED, DERIVED], armor=False)
    stanzas = [stanza.type for stanza in inspect_age(data)[0].stanzas if not is_grease(stanza)]
    assert sorted(stanzas) == ["X25519", "ssh-ed25519"]


def test_the_tag_is_age_s() -> None:
    for key in (ED25519, RSA):
        data = encrypt_age(VALUE, [key.public], armor=False)
        public = parse_public_key(key.public)
        assert evidence_of(inspect_age(data)[0]) == (Evidence(public.kind.value, public.tag),)  # type: ignore[arg-type]


def _refused(recipients: list[str], value: Sensitive = VALUE, armor: bool = True) -> RefusedInput:
    with pytest.raises(RefusedInput) as caught:
        encrypt_age(value, recipients, armor=armor)
    return caught.value


def test_never_to_nobody() -> None:
    assert _refused([]).code is Code.RECIPIENT_MISSING


HYBRID = bech32.encode("age1pq", bytes(1216))


def test_row_53_post_quantum_beside_others() -> None:
    for other in (X25519.public.text, ED25519.public):
        assert _refused([HYBRID, other]).code is Code.RECIPIENT_MIX
    tag_quantum = bech32.encode("age1tagpq", bytes(1249))
    assert _refused([tag_quantum, X25519.public.text]).code is Code.RECIPIENT_MIX
    assert _refused([HYBRID]).code is Code.KEY_UNSUPPORTED


def test_tag_recipients_are_written() -> None:
    point = (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    )
    data = encrypt_age(VALUE, [bech32.encode("age1tag", point), ED25519.public], armor=False)
    types = {stanza.type for stanza in inspect_age(data)[0].stanzas if not is_grease(stanza)}
    assert types == {"p256tag", "ssh-ed25519"}
    assert decrypt_age(data, [ssh_identity(ED25519)]).plaintext == VALUE


def test_injected_recipient_lines_never_reach_pyrage() -> None:
    for line in (
        f"{ED25519.public}\n{RSA.public}",
        f"{ED25519.public}\x00",
        f"{X25519.public.text},{DERIVED}",
    ):
        assert _refused([line]).code is Code.KEY_FORMAT


def test_a_key_that_is_no_point_is_refused_at_writing() -> None:
    off_the_curve = (2).to_bytes(32, "little")
    blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + off_the_curve
    line = "ssh-ed25519 " + base64.b64encode(blob).decode()
    with pytest.raises(SecretsmithError) as caught:
        encrypt_age(VALUE, [line], armor=True)
    assert caught.value.code is Code.KEY_WEAK


def test_a_writer_that_adds_or_forgets_a_recipient_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = encrypt_age(VALUE, [X25519.public.text, ED25519.public], armor=False)
    monkeypatch.setattr(_pyrage, "encrypt", lambda *_: foreign)
    for recipients in ([X25519.public.text], [X25519.public.text, ED25519.public, RSA.public]):
        with pytest.raises(IntegrityFailure):
            encrypt_age(VALUE, recipients, armor=False)


@pytest.mark.parametrize(("armor", "size"), [(True, 25 << 20), (False, 64 << 20)])
def test_what_could_not_be_read_again_is_not_written(armor: bool, size: int) -> None:
    assert _refused([X25519.public.text], Sensitive(bytes(size)), armor).code is Code.TOO_BIG


@pytest.mark.parametrize(("armor", "size"), [(True, 22 << 20), (False, 60 << 20)])
def test_large_values_round_trip(armor: bool, size: int, within: Within) -> None:
    value = Sensitive(bytes(size))
    with within(2):
        data = encrypt_age(value, [X25519.public.text], armor=armor)
    with within(2):
        assert decrypt_age(data, [X25519]).plaintext == value


# Opening


def test_the_first_identity_that_can_opens_and_the_rest_is_not_asked_for() -> None:
    data = encrypt_age(VALUE, [ED25519.public], armor=True)
    mine = ssh_identity(ED25519)

    def lazy() -> Iterator[Identity]:
        yield age_identity(bytes(range(1, 33)))
        yield mine
        pytest.fail("a passphrase would have been asked for in vain")

    assert decrypt_age(data, lazy()).identity is mine


def test_an_identity_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encrypt_age(VALUE, [X25519.public.text], armor=False)
    stranger = age_identity(bytes(range(1, 33)))
    calls: list[bytes] = []
    real = AgeIdentity.open_file

    def counted(self: AgeIdentity, *arguments: object) -> Sensitive | None:
        calls.append(b"")
        return real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(AgeIdentity, "open_file", counted)
    problem = failure(data, stranger, age_identity(bytes(range(1, 33))), stranger)
    assert problem.code is Code.NO_IDENTITY
    assert len(calls) == 1


def test_an_identity_that_cannot_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encrypt_age(VALUE, [keys.ed25519_key().public], armor=False)
    monkeypatch.setattr(SshIdentity, "open_file", lambda *_: pytest.fail("used"))
    monkeypatch.setattr(AgeIdentity, "open_file", lambda *_: pytest.fail("used"))
    problem = failure(data, ssh_identity(ED25519), ssh_identity(RSA), X25519)
    assert problem.code is Code.NO_IDENTITY
    assert problem.exit_code is ExitCode.CANNOT_DECRYPT
    assert "1 ssh-ed25519" in problem.hints[0]


def test_an_error_of_the_lazy_source_passes_through() -> None:
    class Source:
        def __iter__(self) -> Iterator[Identity]:
            return self

        def __next__(self) -> Identity:
            raise CannotDecrypt(Code.PASSPHRASE, "wrong")

    with pytest.raises(CannotDecrypt) as caught:
        decrypt_age(encrypt_age(VALUE, [X25519.public.text], armor=False), Source())
    assert caught.value.code is Code.PASSPHRASE


def test_two_stanzas_of_one_tag_are_both_tried() -> None:
    """Tags are 32 bits: a foreign stanza with our tag must not shut us out."""
    identity = ssh_identity(ED25519)
    foreign = encrypt_age(VALUE, [keys.ed25519_key().public], armor=False)
    stanza = next(s for s in inspect_age(foreign)[0].stanzas if s.type == "ssh-ed25519")
    assert identity.public.tag is not None
    crafted = age_file(
        f"-> ssh-ed25519 {identity.public.tag} {stanza.args[1]}\n".encode() + b"A" * 43 + b"\n",
    )
    assert failure(crafted, identity).code is Code.NO_IDENTITY
