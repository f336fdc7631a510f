"""The encrypted files that a manifest names, looked into without any key: what is wrong with each, and whom it is for.

The standard library is enough for all of it but rare YAML, which is said and not taken for an error: a build has no more.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from secretsmith.crypto.evidence import Evidence
from secretsmith.documents.format import Format, looks_encrypted
from secretsmith.documents.seal import document_evidence, evidence, read_document
from secretsmith.errors import Code, NotFound, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import ManifestSecret, Output
from secretsmith.operations.buildkeys import KeysOfDocument
from secretsmith.record import field, record
from secretsmith.store.atomic import read_file
from secretsmith.store.limits import MAX_SECRET_BYTES

if TYPE_CHECKING:
    from secretsmith.documents.sopsfile import SopsFile

_NAMED = 5  # values in clear that are named in one message


@record
class Source:
    """One file, and the secrets that come from it.

    ``path`` is what the repository calls it (where it lies now, if nothing tells); ``known`` says whether that is a path of the
    repository. ``evidence`` is None when the file could not be read so far; ``groups`` are, for each key group of a document,
    the recipients it names, of which ``needed`` groups must open; ``services`` are its key services besides age.
    """

    path: str
    known: bool
    digest: str = ""
    evidence: tuple[Evidence, ...] | None = None
    groups: tuple[tuple[str, ...], ...] = ()
    needed: int = 1
    services: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=())


def read_sources(
    host: str, secrets: Iterable[ManifestSecret], paths: Mapping[str, str]
) -> Iterator[tuple[Source, tuple[ManifestSecret, ...]]]:
    """Yield each file that ``secrets`` come from, read once, with those secrets.

    ``host`` is whom messages name; ``paths`` are, by digest, the paths that the lock knows files by.
    """
    together: dict[tuple[str, Format], list[ManifestSecret]] = {}
    for secret in secrets:
        together.setdefault((secret.source, Format(secret.format.value)), []).append(secret)
    for (place, form), declared in together.items():
        yield _read(host, place, form, declared, paths), tuple(declared)


def named_paths(secrets: Iterable[ManifestSecret]) -> tuple[str, ...]:
    """Return what ``secrets`` say that their file is called in the repository; one outside of it has an absolute path as id."""
    ids = (secret.id for secret in secrets if secret.id != secret.name and not secret.id.startswith("/"))
    return tuple(dict.fromkeys(ids))


def _read(
    host: str, place: str, form: Format, declared: list[ManifestSecret], paths: Mapping[str, str]
) -> Source:
    named = next(iter(named_paths(declared)), None)
    try:
        data = read_file(Path(place), MAX_SECRET_BYTES)
    except SecretsmithError as error:
        path = named or place
        return Source(path, named is not None, findings=(_unreadable(host, path, place, error),))
    digest = hashlib.sha256(data).hexdigest()
    # A builder that gives no id leaves the secret's name there; what the lock has of this very content is a better one.
    known = named or paths.get(digest)
    source = Source(known or place, known is not None, digest)
    try:
        return _looked_into(source, host, form, data, declared)
    except SecretsmithError as error:
        return _with(source, _malformed(source.path, form, data, error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "ruamel":
            raise
        return _with(source, _rare_yaml(source.path, form, data))


def _looked_into(
    source: Source, host: str, form: Format, data: bytes, declared: list[ManifestSecret]
) -> Source:
    if form is Format.AGE:
        return _with(source, seen=evidence(form, data))
    file = read_document(form, data)
    found = [*_in_clear(source.path, file), *_keys(source.path, host, file, declared)]
    try:
        seen = document_evidence(file)
    except SecretsmithError as error:
        return _with(source, *found, _malformed(source.path, form, data, error))
    groups = tuple(tuple(entry.recipient for entry in group.age) for group in file.metadata.groups)
    metadata = file.metadata
    return Source(
        source.path,
        source.known,
        source.digest,
        seen,
        groups,
        metadata.threshold,
        metadata.services,
        tuple(found),
    )


def _with(source: Source, *findings: Finding, seen: tuple[Evidence, ...] | None = None) -> Source:
    return Source(source.path, source.known, source.digest, seen, findings=findings)


def _unreadable(host: str, path: str, place: str, error: SecretsmithError) -> Finding:
    if not isinstance(error, NotFound):
        hint = error.hints[0] if error.hints else "a host takes regular files only, and no links"
        return Finding(error.code, "error", path, error.message, hint)
    lies = "" if path == place else f" ({place})"
    quoted = shlex.quote(path)
    hint = (
        f"git add {quoted} if it is new (flakes see tracked files only); to make it: secretsmith set {quoted}"
    )
    return Finding(
        Code.NOT_FOUND,
        "error",
        path,
        f"{host} declares {path}, and there is no such file{lies}",
        hint if path != place else "git add it if it is new (flakes see tracked files only), and build again",
    )


def _malformed(path: str, form: Format, data: bytes, error: SecretsmithError) -> Finding:
    if not looks_encrypted(form, data) and error.code not in (Code.EMPTY, Code.UNSUPPORTED):
        return _plaintext(path, form, data)
    hint = error.hints[0] if error.hints else f"take it back from git: git log -p -- {shlex.quote(path)}"
    return Finding(error.code, "error", path, error.message, hint)


def _plaintext(path: str, form: Format, data: bytes) -> Finding:
    others = (Format.AGE, Format.YAML, Format.DOTENV, Format.INI, Format.JSON)
    if other := next((one for one in others if one is not form and looks_encrypted(one, data)), None):
        what = "an age file" if other is Format.AGE else "a sops document of another format"
        message = f"is declared as {form}, and is {what}"
        return Finding(Code.FORMAT, "error", path, message, "declare it with the format that it has")
    return Finding(
        Code.PLAINTEXT,
        "error",
        path,
        "is not encrypted",
        f"secretsmith encrypt --in-place {shlex.quote(path)}; what was built from it is readable to everybody on the"
        " machine that built it: change the values, too",
    )


def _rare_yaml(path: str, form: Format, data: bytes) -> Finding:
    if not looks_encrypted(form, data):
        return _plaintext(path, form, data)
    return Finding(
        Code.UNSUPPORTED,
        "info",
        path,
        "is YAML that sops does not write; reading it takes ruamel.yaml, which is not here, so it was not looked into",
        f"where secretsmith is installed: secretsmith check --deep {shlex.quote(path)}",
    )


def _in_clear(path: str, file: SopsFile) -> Iterator[Finding]:
    """Find values that the document's own rule wants encrypted and that are not."""
    from secretsmith.documents.tree import LeafKind, format_tree_path

    leaves = file.document.leaves
    odd = [
        index
        for index, leaf in enumerate(leaves)
        if file.encrypted[index]
        and leaf.plain
        and leaf.kind not in (LeafKind.COMMENT, LeafKind.NULL)
        and not file.is_sealed(index)
    ]
    if odd:
        names = [f"'{format_tree_path(file.named[index])}'" for index in odd[:_NAMED]]
        names += [f"{len(odd) - _NAMED} more"] if len(odd) > _NAMED else []
        yield Finding(
            Code.PLAINTEXT,
            "error",
            path,
            f"holds what should be encrypted and is not: {', '.join(names)}",
            f"change and encrypt it: secretsmith edit {shlex.quote(path)}; it was readable to everybody",
        )


def _keys(path: str, host: str, file: SopsFile, declared: list[ManifestSecret]) -> Iterator[Finding]:
    """Find keys that are declared and not there, and what cannot be written as it is declared."""
    keys = KeysOfDocument(file)
    told: set[tuple[str | None, bool]] = set()
    for secret in declared:
        whole = secret.output is not Output.VALUE
        if (secret.key is None and secret.output is not Output.JSON) or (secret.key, whole) in told:
            continue
        told.add((secret.key, whole))
        trouble = keys.trouble_as_json() if secret.key is None else keys.trouble(secret.key, whole=whole)
        if trouble is not None:
            hint = trouble.hint or f"secretsmith set {shlex.quote(path)} {shlex.quote(secret.key or '')}"
            what = path if secret.key is None else f"{secret.key} of {path}"
            yield Finding(trouble.code, "error", path, f"{host} declares {what}, {trouble.why}", hint)


__all__ = ["Source", "named_paths", "read_sources"]
