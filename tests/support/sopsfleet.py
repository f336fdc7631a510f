"""Sops documents in the fleet of tests: made, judged from the outside, and opened by the real sops."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import keys
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from fleet import Fleet

from secretsmith.crypto import bech32
from secretsmith.crypto.publickey import Form
from secretsmith.documents.format import format_of
from secretsmith.documents.seal import read_document
from secretsmith.documents.sopsnew import new_document
from secretsmith.documents.sopswrite import metadata_edits
from secretsmith.record import replace

# As the real sops writes them, so that its output can be compared.
CLEAR = {
    ".yaml": b"# about\nmail:\n    # the old one\n    smtp: hunter2\n    port: 25\nlist:\n    - one\n    - two\n",
    ".json": b'{\n\t"mail": {\n\t\t"smtp": "hunter2",\n\t\t"port": 25\n\t},\n\t"list": [\n\t\t"one"\n\t]\n}\n',
    ".env": b"# about\nSMTP=hunter2\nPORT=25\n",
    ".ini": b"; about\n[mail]\nsmtp = hunter2\nport = 25\n",
    ".bin": b"\x00\xff any bytes\n",
}
SEALED = re.compile(rb"ENC\[AES256_GCM,[^\]]*\]")
PGP = {
    "created_at": "2026-01-02T00:00:00Z",
    "enc": "-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n",
    "fp": "D7229043384BCC60326C6FB9D8720D957C3D3074",
}


def put(
    fleet: Fleet,
    path: str,
    groups: Sequence[Sequence[str]],
    *,
    threshold: int | None = None,
    form: Form = Form.DERIVED,
    also: Iterable[str] = (),
) -> Path:
    """Make a document for the named principals, by group; ``also`` are recipients of the first group nobody registered."""
    texts = [[fleet.key(name).recipient(form) for name in group] for group in groups]
    texts[0] += also
    target = fleet.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(
        new_document(format_of(path), CLEAR[target.suffix], texts, threshold=threshold, clock=lambda: 1e9)
    )
    return target


def put_pgp(path: Path, group: int = 0, *, alone: bool = False) -> None:
    """Let a PGP key stand in the document as well, or ``alone`` in its group; no key of the tests opens it."""
    file = read_document(format_of(path.name), path.read_bytes())
    groups = list(file.metadata.groups)
    old = groups[group]
    groups[group] = replace(old, age=() if alone else old.age, foreign={**old.foreign, "pgp": [PGP]})
    metadata = replace(file.metadata, groups=tuple(groups))
    path.write_bytes(file.document.splice(metadata_edits(file, metadata)))


def age_secret(key: keys.SshKey) -> str:
    """The AGE-SECRET-KEY of an ssh key, as ssh-to-age derives it (RFC 8032 §5.1.5, steps 1 and 2)."""
    private = load_ssh_private_key(key.private, None)
    seed = private.private_bytes_raw()  # type: ignore[union-attr]
    return bech32.encode("AGE-SECRET-KEY-", hashlib.sha512(seed).digest()[:32]).upper()


def opened_by_sops(sops: str, path: Path, *names: keys.SshKey, native: Path | None = None) -> bytes | None:
    """What the real sops says is in the document, with these keys derived (or one natively); None when it cannot open it."""
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    if names:
        environ["SOPS_AGE_KEY"] = "\n".join(age_secret(key) for key in names)
    if native is not None:
        environ["SOPS_AGE_SSH_PRIVATE_KEY_FILE"] = str(native)
    kind = "binary" if path.suffix == ".bin" else {".env": "dotenv"}.get(path.suffix, path.suffix[1:])
    done = subprocess.run(
        [sops, "decrypt", "--input-type", kind, "--output-type", kind, str(path)],
        env=environ,
        capture_output=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None


def metadata_of(path: Path) -> list[list[str]]:
    """The recipients that a document names, by group."""
    file = read_document(format_of(path.name), path.read_bytes())
    return [[entry.recipient for entry in group.age] for group in file.metadata.groups]


def outside_block(path: Path, data: bytes) -> bytes:
    """The bytes of a document that are not its metadata."""
    document = read_document(format_of(path.name), data).document
    spans = sorted(document.metadata_spans, key=lambda span: span.start, reverse=True)
    for span in spans:
        data = data[: span.start] + data[span.end :]
    return data


def values_masked(data: bytes) -> bytes:
    """The document without what a new data key changes: sealed texts."""
    return SEALED.sub(b"ENC[]", data)
