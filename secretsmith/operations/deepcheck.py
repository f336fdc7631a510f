"""``check --deep``: what only those can see who open the files.

Every file that the identities here open is decrypted as a whole, and nothing of it is kept: an age file's payload to its
last chunk, a document with all its values and its MAC. Files that nobody here can open are counted, not passed over in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from secretsmith.crypto.agefile import decrypt_age
from secretsmith.crypto.publickey import KeyKind, parse_public_key
from secretsmith.documents.format import Format
from secretsmith.documents.seal import open_sops, open_value
from secretsmith.documents.sopskey import Recovered, share_of_group
from secretsmith.documents.sopsopen import OpenDocument
from secretsmith.errors import CannotDecrypt, Code, RefusedInput, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.operations.readers import SealedFile, read_sealed
from secretsmith.project import Project

_NAMED = 3


def deep_findings(project: Project, paths: Iterable[str]) -> Iterator[Finding]:
    """Open each of ``paths`` that an identity opens; yield what does not verify, and how many could not be opened.

    Files that cannot even be read are not spoken of: the check that needs no key does. A passphrase is asked for as ever,
    so not without a terminal.
    """
    shut: list[str] = []
    count = 0
    for path in paths:
        try:
            sealed = read_sealed(project, path)
        except SecretsmithError:
            continue
        count += 1
        try:
            yield from _open(project, sealed)
        except CannotDecrypt:
            shut.append(path)
        except SecretsmithError as error:
            hint = error.hints[0] if error.hints else f"take it back from git: git log -p -- {path}"
            yield Finding(error.code, "error", path, error.message, hint)
    if shut:
        yield _not_opened(project, shut, count)


def _not_opened(project: Project, shut: list[str], count: int) -> Finding:
    named = ", ".join(shut[:_NAMED]) + (", …" if len(shut) > _NAMED else "")
    return Finding(
        Code.NO_IDENTITY,
        "info",
        project.registry.secrets,
        f"{len(shut)} of {count} files are opened by no identity here, so not looked into: {named}",
        "secretsmith identity list",
    )


def _open(project: Project, sealed: SealedFile) -> Iterator[Finding]:
    find = project.ring.for_data
    if sealed.format is Format.AGE:
        open_value(sealed.format, sealed.data, find)
        return
    opened = open_sops(sealed.format, sealed.data, find, open_pgp=project.open_pgp)
    for warning in opened.warnings:
        yield Finding(
            Code.CIPHERTEXT, "info", sealed.path, warning, f"secretsmith rotate {sealed.path} seals it"
        )
    yield from _own_stanzas(project, sealed, opened)


def _own_stanzas(project: Project, sealed: SealedFile, opened: OpenDocument) -> Iterator[Finding]:
    """Try the stanzas that the document says are for keys here.

    A stanza for an age key does not show whom it is for. So whoever can push may put another in its place, and lock a reader
    out, or let somebody in, under his name; that reader alone can tell.
    """
    own = _own_recipients(project)
    for number, group in enumerate(opened.file.metadata.groups):
        for entry in group.age:
            owner = own.get(_normal(entry.recipient))
            if owner is None:
                continue
            reason = _wrong(project, owner, entry.enc.encode("utf-8", "replace"), number, opened.recovered)
            if reason:
                yield Finding(
                    Code.RECIPIENT_MISMATCH,
                    "error",
                    sealed.path,
                    f"the document says that a stanza is for {project.name_of(owner)} ({owner}), and {reason}",
                    f"see who put it there: git log -p -- {sealed.path}; then: secretsmith rotate {sealed.path}",
                )


def _own_recipients(project: Project) -> dict[str, str]:
    """Return recipient → fingerprint of the keys here, in both forms of those that have two."""
    keys = project.ring.own_keys()
    own = {key.text: key.fingerprint for key in keys}
    return own | {key.derived: key.fingerprint for key in keys if key.kind is KeyKind.ED25519}


def _normal(recipient: str) -> str:
    try:
        return parse_public_key(recipient.strip()).text
    except RefusedInput:
        return ""


def _wrong(project: Project, owner: str, stanza: bytes, group: int, recovered: Recovered) -> str:
    """Say what is wrong with a stanza for the key ``owner``; empty when nothing is, or the key is locked."""
    try:
        mine = next((key for key in project.ring.for_data(stanza) if key.fingerprint == owner), None)
        share = decrypt_age(stanza, [mine]).plaintext if mine is not None else None
    except CannotDecrypt as error:
        return "that key does not open it" if error.code is Code.NO_IDENTITY else ""
    except SecretsmithError:
        return "it is damaged"
    return "" if share in (None, share_of_group(recovered, group)) else "it holds another data key"


__all__ = ["deep_findings"]
