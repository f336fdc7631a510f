"""Reads the age test vectors (C2SP's CCTV, folder age/testdata) in place.

They lie in the folder that AGE_TESTKIT names or in ../shared/age-testkit beside the checkout. AGE_TESTKIT may also name
an unpacked npm package ``cctv-age``, whose index.js carries the same files in base64.
"""

from __future__ import annotations

import base64
import os
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

EXPECTATIONS = ("success", "no match", "HMAC failure", "header failure", "armor failure", "payload failure")
_KEYS = {"expect", "payload", "file key", "identity", "passphrase", "armored", "compressed", "comment"}
_IN_PACKAGE = re.compile(
    r'^// \.\./testdata/(\S+)\nvar \w+ = __toBinary\("([A-Za-z0-9+/=]*)"\);$', re.MULTILINE
)


@dataclass(frozen=True)
class Vector:
    """One vector: what should happen, the keys, and the age file itself."""

    name: str
    expect: str
    data: bytes
    payload: str | None = None  # SHA-256 of the plaintext, hex
    identities: tuple[str, ...] = ()
    passphrases: tuple[str, ...] = ()
    fields: frozenset[str] = field(default=frozenset())


def find_testkit() -> Path | None:
    """Give the place of the vectors, if there is one."""
    named = os.environ.get("AGE_TESTKIT")
    if named:
        return Path(named)
    beside = Path(__file__).resolve().parents[3] / "shared" / "age-testkit"
    return beside if beside.is_dir() else None


def load_vectors(place: Path) -> list[Vector]:
    """Read every vector, by name."""
    package = place / "index.js"
    if package.is_file():
        found = _IN_PACKAGE.findall(package.read_text())
        return [parse_vector(name, base64.b64decode(text)) for name, text in sorted(found)]
    return [
        parse_vector(path.name, path.read_bytes())
        for path in sorted(place.iterdir())
        if path.is_file() and path.suffix != ".md"
    ]


def parse_vector(name: str, content: bytes) -> Vector:
    """Parse one; a header key that is not known is an error, not a reason to pass over the file."""
    head, separator, data = content.partition(b"\n\n")
    assert separator, name
    fields = [line.split(": ", 1) for line in head.decode().splitlines()]
    unknown = {key for key, _ in fields} - _KEYS
    assert not unknown, f"{name}: unknown header key {unknown}"
    single = dict(fields)
    assert single["expect"] in EXPECTATIONS, name
    if "compressed" in single:
        assert single["compressed"] == "zlib", name
        data = zlib.decompress(data)
    return Vector(
        name,
        single["expect"],
        data,
        single.get("payload"),
        tuple(value for key, value in fields if key == "identity"),
        tuple(value for key, value in fields if key == "passphrase"),
        frozenset(single),
    )
