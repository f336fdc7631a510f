"""OpenSSH and PEM private keys: our strict parser, the real ssh-keygen, passphrases."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import keys
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from secretsmith.crypto.privatekey import LockedSshKey, SshPrivateKey, parse_ssh_private_key
from secretsmith.crypto.publickey import KeyKind
from secretsmith.errors import CannotDecrypt, Code, ExitCode, RefusedInput, SecretsmithError
from secretsmith.sensitive import Sensitive

Within = Callable[[float], AbstractContextManager[None]]
ED25519 = keys.ed25519_key("a comment")
RSA = keys.rsa_key(2048, "a comment")


def unlocked(data: bytes) -> SshPrivateKey:
    """Parse a key that has no passphrase."""
    key = parse_ssh_private_key(data)
    assert isinstance(key, SshPrivateKey)
    return key


def locked(data: bytes) -> LockedSshKey:
    """Parse a key that has one."""
    key = parse_ssh_private_key(data)
    assert isinstance(key, LockedSshKey)
    return key


@pytest.mark.parametrize("key", [ED25519, RSA], ids=["ed25519", "rsa"])
def test_unencrypted(key: keys.SshKey) -> None:
    parsed = unlocked(key.private)
    assert key.public.startswith(parsed.public.text)
    assert (parsed.seed is not None) == (parsed.kind is KeyKind.ED25519) == (parsed.derived is not None)
    serialization.load_ssh_private_key(parsed.openssh.expose(), None)
    assert "PRIVATE" not in repr(parsed)


@pytest.mark.parametrize(
    "arguments", [["-t", "ed25519"], ["-t", "rsa", "-b", "2048"], ["-t", "rsa", "-b", "3072"]]
)
@pytest.mark.parametrize("form", [[], ["-m", "PEM"], ["-m", "PKCS8"]])
def test_what_ssh_keygen_makes(
    arguments: list[str], form: list[str], tmp_path: Path, peer: Callable[[str], str]
) -> None:
    file = tmp_path / "key"
    command = [peer("ssh-keygen"), "-q", *arguments, *form, "-N", "", "-C", "who@where", "-f", str(file)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        assert "ed25519" in arguments  # ssh-keygen 9.2 has no PKCS8 for it
        return
    parsed = unlocked(file.read_bytes())
    assert (tmp_path / "key.pub").read_text().startswith(parsed.public.text)
    if not form:
        assert parsed.public.comment == "who@where"


def test_ssh_keygen_reads_what_we_hand_on(tmp_path: Path, peer: Callable[[str], str]) -> None:
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_bytes(unlocked(ED25519.private).openssh.expose())
    out = subprocess.run(
        [peer("ssh-keygen"), "-y", "-f", str(file)], capture_output=True, check=True, text=True
    )
    assert ED25519.public.startswith(out.stdout.strip())


@pytest.mark.parametrize(
    "cipher", ["aes256-ctr", "aes256-cbc", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"]
)
@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_passphrases_of_ssh_keygen(
    cipher: str, kind: str, tmp_path: Path, peer: Callable[[str], str]
) -> None:
    file = tmp_path / "key"
    command = [
        peer("ssh-keygen"),
        "-q",
        "-t",
        kind,
        "-Z",
        cipher,
        "-a",
        "2",
        "-N",
        "pass phrase é",
        "-f",
        str(file),
    ]
    subprocess.run(command, capture_output=True, check=True)
    key = locked(file.read_bytes())
    assert key.cipher == cipher
    assert key.public is not None
    assert (tmp_path / "key.pub").read_text().startswith(key.public.text)
    if cipher.startswith("chacha20"):
        with pytest.raises(RefusedInput) as caught:
            key.unlock(Sensitive(b"pass phrase"))
        assert "ssh-keygen -p -Z aes256-ctr" in caught.value.hints[0]
        return
    assert key.unlock(Sensitive("pass phrase é".encode())).public.text == key.public.text
    with pytest.raises(CannotDecrypt) as wrong:
        key.unlock(Sensitive(b"wrong"))
    assert wrong.value.code is Code.PASSPHRASE
    assert wrong.value.exit_code is ExitCode.CANNOT_DECRYPT


@pytest.mark.parametrize(
    "form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
def test_pem_under_a_passphrase(form: serialization.PrivateFormat) -> None:
    made = rsa.generate_private_key(65537, 2048)
    data = made.private_bytes(
        serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"secret")
    )
    key = locked(data)
    assert key.public is None
    assert key.unlock(Sensitive(b"secret")).kind is KeyKind.RSA
    with pytest.raises(CannotDecrypt):
        key.unlock(Sensitive(b"wrong"))


def test_the_published_keys_open(repository_root: Path) -> None:
    folder = repository_root / "testkeys"
    for name in ("user_ed25519", "host_ed25519", "user_rsa"):
        assert (folder / f"{name}.pub").read_text().strip() == unlocked(
            (folder / name).read_bytes()
        ).public.line
    key = locked((folder / "user_ed25519_passphrase").read_bytes())
    public = (folder / "user_ed25519_passphrase.pub").read_text()
    assert public.startswith(key.unlock(Sensitive(b"throw-away")).public.text)


def _blob(data: bytes) -> bytes:
    return base64.b64decode(b"".join(data.splitlines()[1:-1]))


def _pem(blob: bytes) -> bytes:
    text = base64.encodebytes(blob)
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + text + b"-----END OPENSSH PRIVATE KEY-----\n"


def _outcome(data: bytes) -> SshPrivateKey | LockedSshKey | SecretsmithError:
    try:
        return parse_ssh_private_key(data)
    except SecretsmithError as problem:
        return problem


@settings(max_examples=300)
@given(st.data())
def test_a_changed_byte_is_refused_or_means_the_same_key(data: st.DataObject) -> None:
    """Only the check numbers, the comment and an RSA exponent's own numbers may differ unseen."""
    key = data.draw(st.sampled_from([ED25519, RSA]))
    blob = bytearray(_blob(key.private))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    outcome = _outcome(_pem(bytes(blob)))
    if isinstance(outcome, SecretsmithError):
        assert outcome.code in (Code.KEY_FORMAT, Code.KEY_WEAK, Code.KEY_UNSUPPORTED)
    elif isinstance(outcome, LockedSshKey):
        assert outcome.cipher != "none"
    else:
        assert outcome.public.kind is KeyKind(key.public.split()[0])


@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_key_or_a_refusal(data: bytes) -> None:
    for candidate in (data, _pem(b"openssh-key-v1\x00" + data), b"-----BEGIN RSA PRIVATE KEY-----\n" + data):
        outcome = _outcome(candidate)
        assert not isinstance(outcome, SecretsmithError) or outcome.exit_code is ExitCode.USAGE


def test_a_truncated_key_is_refused_at_every_length() -> None:
    blob = _blob(ED25519.private)
    for length in range(len(blob)):
        with pytest.raises(RefusedInput):
            parse_ssh_private_key(_pem(blob[:length]))


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(RefusedInput):
        parse_ssh_private_key(_pem(_blob(ED25519.private) + b"\x00"))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.EMPTY),
        (b"\n\n", Code.EMPTY),
        (b"x" * 100_000, Code.TOO_BIG),
        (ED25519.public.encode(), Code.KEY_FORMAT),
        (b"PuTTY-User-Key-File-3: ssh-ed25519\n", Code.KEY_UNSUPPORTED),
        (b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", Code.KEY_UNSUPPORTED),
        (b"-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n", Code.KEY_UNSUPPORTED),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", Code.KEY_FORMAT),
        (keys.ecdsa_key().private, Code.KEY_UNSUPPORTED),
        (ED25519.private + ED25519.private, Code.KEY_FORMAT),
        (ED25519.private.replace(b"-----END", b"junk\n-----END"), Code.KEY_FORMAT),
        (keys.rsa_key(1024).private, Code.KEY_WEAK),
    ],
    ids=[
        "empty",
        "blank",
        "big",
        "public",
        "putty",
        "ec pem",
        "dsa pem",
        "broken pem",
        "ecdsa",
        "two keys",
        "junk",
        "short rsa",
    ],
)
def test_refusals(data: bytes, code: Code) -> None:
    with pytest.raises(RefusedInput) as caught:
        parse_ssh_private_key(data)
    assert caught.value.code is code


def _with_rounds(rounds: int) -> bytes:
    data = keys.ed25519_key(passphrase=b"secret").private
    blob = bytearray(_blob(data))
    place = blob.index(b"bcrypt") + 6
    options = int.from_bytes(blob[place : place + 4], "big")
    blob[place + options : place + 4 + options] = rounds.to_bytes(4, "big")
    return _pem(bytes(blob))


@pytest.mark.parametrize("rounds", [0, 2**31, 2**32 - 1])
def test_endless_key_derivation_is_refused_before_it_starts(rounds: int, within: Within) -> None:
    with within(0.5), pytest.raises(RefusedInput) as caught:
        parse_ssh_private_key(_with_rounds(rounds))
    assert caught.value.code is Code.KEY_UNSUPPORTED


def test_a_foreign_public_half_on_a_locked_key_is_seen() -> None:
    blob = _blob(keys.ed25519_key(passphrase=b"secret").private)
    other = parse_ssh_private_key(ED25519.private)
    assert isinstance(other, SshPrivateKey)
    mine = locked(_pem(blob))
    assert mine.public is not None
    swapped = locked(_pem(blob.replace(mine.public.blob, other.public.blob)))
    with pytest.raises(SecretsmithError) as caught:
        swapped.unlock(Sensitive(b"secret"))
    assert caught.value.code in (Code.KEY_FORMAT, Code.PASSPHRASE)


def test_no_message_repeats_key_text() -> None:
    lines = ED25519.private.decode().splitlines()
    for data in (ED25519.private[:-60], ED25519.private.replace(b"b3Bl", b"b3B", 1), b"x" + ED25519.private):
        outcome = _outcome(data)
        assert isinstance(outcome, SecretsmithError)
        shown = outcome.message + " ".join(outcome.hints)
        assert not any(line in shown for line in lines[1:-1])
