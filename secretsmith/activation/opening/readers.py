"""Whom an encrypted source is for, as far as it tells without a key, in the words of the manifest's names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from secretsmith.crypto.evidence import Evidence
from secretsmith.crypto.publickey import PublicKey, parse_public_key, printable
from secretsmith.errors import IntegrityFailure, RefusedInput, SecretsmithError
from secretsmith.manifest import Manifest, SourceFormat
from secretsmith.record import record

if TYPE_CHECKING:
    from secretsmith.documents.sopsfile import SopsFile

_SHOWN = 20  # readers in one message
_LONGEST = 100


@record
class Readers:
    """The readers of one source. ``services`` are those that activation does not use ("PGP D722…", "kms").

    ``needed`` of ``groups`` key groups must open. ``remark`` is what is wrong with the list itself.
    """

    evidence: tuple[Evidence, ...] = ()
    services: tuple[str, ...] = ()
    groups: int = 1
    needed: int = 1
    remark: str | None = None

    def include(self, keys: Iterable[PublicKey]) -> bool:
        """Tell whether one of ``keys`` is named as a reader; anonymous stanzas name nobody."""
        tags = {item.tag for item in self.evidence if item.tag is not None}
        texts = {item.recipient.split(" ")[0:2][-1] for item in self.evidence if item.recipient}
        return any(
            key.tag in tags or not texts.isdisjoint((key.text.split(" ")[-1], key.derived)) for key in keys
        )


def readers_of_source(kind: SourceFormat, data: bytes) -> Readers:
    """Return whom a source is for; nobody if it cannot be read."""
    from secretsmith.documents.format import Format
    from secretsmith.documents.seal import evidence, read_document

    try:
        if kind is SourceFormat.AGE:
            return Readers(evidence(Format.AGE, data))
        return document_readers(read_document(Format(kind.value), data))
    except SecretsmithError:
        return Readers()


def document_readers(file: SopsFile) -> Readers:
    """Return whom a sops document says it is for."""
    from secretsmith.documents.sopsreaders import readers_of

    groups = file.metadata.groups
    remark = None
    try:
        found = readers_of(file)
    except IntegrityFailure as failure:
        # Then the names are what the document claims, and the remark says so.
        found = tuple(
            Evidence("recipient", recipient=entry.recipient.strip())
            for group in groups
            for entry in group.age
        )
        remark = failure.message
    services = tuple(dict.fromkeys(_services(file)))
    return Readers(found, services, max(1, len(groups)), file.metadata.threshold, remark)


def _services(file: SopsFile) -> Iterator[str]:
    for group in file.metadata.groups:
        for name in group.services:
            for entry in group.foreign[name] if name == "pgp" else ():
                fingerprint = entry.get("fp") if isinstance(entry, dict) else None
                yield f"PGP {_short(str(fingerprint or 'key without a name'))}"
            if name != "pgp":
                yield name


class _Names:
    """What the manifest calls a key, however a source names it."""

    def __init__(self, manifest: Manifest) -> None:
        self._keys = {key: f"{one.name} {key}" for key, one in manifest.principals.items()}
        self._recipients: dict[str, str] = {}
        self._tags: dict[str, list[str]] = {}
        for key, one in manifest.principals.items():
            if one.recipient is not None:
                self._recipients[one.recipient] = self._keys[key]
            if one.ssh_tag is not None:
                self._tags.setdefault(one.ssh_tag, []).append(self._keys[key])

    def of_key(self, fingerprint: str) -> str:
        return self._keys.get(fingerprint, fingerprint)

    def of(self, item: Evidence) -> list[str]:
        """Give none for an anonymous stanza, and all who have the tag of another."""
        if item.recipient is not None:
            return [self._of_recipient(item.recipient)]
        if item.tag is None:
            return []
        return self._tags.get(item.tag) or [f"a key with ssh tag {item.tag} that the manifest does not name"]

    def _of_recipient(self, recipient: str) -> str:
        if recipient in self._recipients:
            return self._recipients[recipient]
        try:
            public = parse_public_key(recipient)
        except RefusedInput:
            return _short(recipient)
        if public.fingerprint in self._keys:
            return self._keys[public.fingerprint]
        # A recipient is public, and what a person has at hand to search for.
        return public.fingerprint if public.is_ssh else _short(public.text)


def readers_text(manifest: Manifest, sources: Iterable[Readers]) -> str:
    """List the readers of sources in one line: by name where the manifest has it."""
    known = _Names(manifest)
    names: dict[str, None] = {}
    anonymous = others = 0
    for source in sources:
        for item in source.evidence:
            names |= dict.fromkeys(known.of(item))
        unnamed = [item for item in source.evidence if item.tag is None and item.recipient is None]
        anonymous = max(anonymous, sum(item.kind == "x25519" for item in unnamed))
        others = max(others, sum(item.kind != "x25519" for item in unnamed))
        names |= dict.fromkeys(source.services)
    found = list(names)
    if len(found) > _SHOWN:
        found[_SHOWN:] = [f"{len(found) - _SHOWN} more"]
    if anonymous:
        plural = "keys" if anonymous > 1 else "key"
        found.append(f"{anonymous} anonymous age1… {plural} (such stanzas do not say whose)")
    if others:
        found.append(f"{others} of another kind")
    return ", ".join(found) or "nobody that the file names"


def keys_text(manifest: Manifest, fingerprints: Iterable[str]) -> str:
    """List keys by name where the manifest has it."""
    known = _Names(manifest)
    return ", ".join(map(known.of_key, fingerprints))


def _short(text: str) -> str:
    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


__all__ = ["Readers", "document_readers", "keys_text", "readers_of_source", "readers_text"]
