"""pyrage as the oracle of our reader: random age files, damaged at random, and what both make of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import keys
import pyrage
from agekinds import DERIVED, ED25519, KINDS, RSA, X25519

from secretsmith.crypto import bech32
from secretsmith.crypto.agefile import decrypt_age
from secretsmith.crypto.armor import enarmor
from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.errors import SecretsmithError

CHUNK = 64 * 1024
SIZES = (0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1)
_BYTES = b"\n\r -=AQgw0+/\x00\xff"


@dataclass(frozen=True)
class Case:
    """A file, possibly damaged, and whose key it is opened with."""

    data: bytes
    kind: str
    damage: str
    value: bytes


@dataclass(frozen=True)
class Outcome:
    """What a reader gives: the value, or why it refuses."""

    value: bytes | None
    why: str = ""


def _ssh_recipient(line: str) -> object:
    return pyrage.ssh.Recipient.from_str(" ".join(line.split()[:2]))


def _derived_secret() -> str:
    key = parse_ssh_private_key(ED25519.private)
    assert isinstance(key, SshPrivateKey)
    assert key.derived is not None
    return key.derived.expose().decode()


MINE: dict[str, object] = {
    "ssh-ed25519": _ssh_recipient(ED25519.public),
    "ssh-rsa": _ssh_recipient(RSA.public),
    "x25519": pyrage.x25519.Recipient.from_str(X25519.public.text),
    "derived": pyrage.x25519.Recipient.from_str(DERIVED),
}
THEIR_KEYS: dict[str, object] = {
    "ssh-ed25519": pyrage.ssh.Identity.from_buffer(ED25519.private),
    "ssh-rsa": pyrage.ssh.Identity.from_buffer(RSA.private),
    "x25519": pyrage.x25519.Identity.from_str(bech32.encode("AGE-SECRET-KEY-", bytes(range(32)))),
    "derived": pyrage.x25519.Identity.from_str(_derived_secret()),
}
STRANGERS: tuple[object, ...] = (
    *(_ssh_recipient(keys.ed25519_key().public) for _ in range(4)),
    *(pyrage.x25519.Identity.generate().to_public() for _ in range(4)),
    _ssh_recipient(keys.rsa_key().public),
)


def random_case(rng: random.Random) -> Case:
    """Make a file to 1 to 20 recipients, mostly damaged in one or two places."""
    kind = rng.choice(sorted(MINE))
    value = rng.randbytes(rng.choice((*SIZES, rng.randrange(200), rng.randrange(300_000))))
    recipients = [rng.choice(STRANGERS) for _ in range(rng.randrange(20))]
    recipients.insert(rng.randint(0, len(recipients)), MINE[kind if rng.random() < 0.9 else "x25519"])
    data = bytes(pyrage.encrypt(value, recipients))
    armored = rng.random() < 0.4
    if armored:
        data = enarmor(data)
    done = []
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        change = rng.choice(CHANGES)
        data = change(rng, data)
        done.append(change.__name__)
    return Case(data, kind, f"{'armored ' if armored else ''}{' '.join(done) or 'whole'}", value)


def _place(rng: random.Random, data: bytes) -> int:
    """Half of the damage goes to the header, which is a small part of most files, and much to the edges."""
    end = min(len(data), 600) if rng.random() < 0.5 else len(data)
    return rng.choice((0, len(data), rng.randint(0, end), rng.randint(0, end), rng.randint(0, end)))


def flipped(rng: random.Random, data: bytes) -> bytes:
    """Change one bit."""
    place = min(_place(rng, data), len(data) - 1)
    return data[:place] + bytes((data[place] ^ 1 << rng.randrange(8),)) + data[place + 1 :]


def replaced(rng: random.Random, data: bytes) -> bytes:
    """Put a byte that means something in headers and armor in the place of another."""
    place = min(_place(rng, data), len(data) - 1)
    return data[:place] + bytes((rng.choice(_BYTES),)) + data[place + 1 :]


def inserted(rng: random.Random, data: bytes) -> bytes:
    """Add a byte or some."""
    place = _place(rng, data)
    return data[:place] + bytes((rng.choice(_BYTES),)) * rng.choice((1, 1, 3, 70)) + data[place:]


def removed(rng: random.Random, data: bytes) -> bytes:
    """Take out a byte or some."""
    place = _place(rng, data)
    return data[:place] + data[place + rng.choice((1, 1, 3, 70)) :]


def cut(rng: random.Random, data: bytes) -> bytes:
    """End the file early; one byte stays, since nothing is no file."""
    return data[: max(1, _place(rng, data))]


def moved(rng: random.Random, data: bytes) -> bytes:
    """Swap two lines."""
    lines = data.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(min(len(lines), 8))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


CHANGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    flipped,
    replaced,
    inserted,
    removed,
    cut,
    moved,
)


def ours(case: Case) -> Outcome:
    """What secretsmith does."""
    try:
        return Outcome(decrypt_age(case.data, [KINDS[case.kind][1]]).plaintext.expose())
    except SecretsmithError as problem:
        return Outcome(None, f"{problem.code}: {problem.message}")


def theirs(case: Case) -> Outcome:
    """What pyrage does."""
    names = ("ssh-ed25519", "derived") if case.kind in ("ssh-ed25519", "derived") else (case.kind,)
    try:
        return Outcome(bytes(pyrage.decrypt(case.data, [THEIR_KEYS[name] for name in names])))
    except pyrage.DecryptError as problem:
        return Outcome(None, str(problem))


def disagreement(case: Case) -> str | None:
    """Say what the two readers make of a file when it is not the same and not the one known difference.

    The malformed headers that pyrage accepts do not come up here: damage alone does not make their MAC right
    (test_testkit.py has them).
    """
    mine, other = ours(case), theirs(case)
    if mine.value == other.value and (mine.value is None or mine.value == case.value):
        return None
    if _only_white_space(case, mine):
        return None
    return f"{case.kind}, {case.damage}: ours {mine.why or 'opens'}; pyrage {other.why or 'opens'}"


def _only_white_space(case: Case, mine: Outcome) -> bool:
    """pyrage refuses white space around armor and lines that end in CRLF here and LF there; age reads both."""
    plain = case.data.strip(b" \t\r\n").replace(b"\r\n", b"\n") + b"\n"
    same = theirs(replace(case, data=plain))
    return plain != case.data and plain.startswith(b"-----BEGIN") and same.value == mine.value == case.value


__all__ = ["Case", "Outcome", "disagreement", "ours", "random_case", "theirs"]
