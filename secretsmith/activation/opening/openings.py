"""Encrypted sources to values in memory: each source is decrypted once, and each failure stays with its secrets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from secretsmith.activation.opening.diagnosis import not_a_reader, undelivered
from secretsmith.activation.opening.hostkeys import HostKeys
from secretsmith.activation.opening.readers import Readers, document_readers, readers_of_source
from secretsmith.activation.opening.sources import Sources
from secretsmith.errors import CannotDecrypt, Code, RefusedInput, SecretsmithError
from secretsmith.manifest import Manifest, ManifestSecret, SourceFormat
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.activation.opening.picking import Picker

Opened = Sensitive | SecretsmithError


class Openings:
    """Values of secrets; each source is decrypted once for all phases, however many secrets it holds.

    ``manifest`` is the whole one, not one phase's: what is decrypted is let go of after the last secret that needs it.
    ``sources`` are read as needed.
    """

    def __init__(self, manifest: Manifest, sources: Sources, keys: HostKeys) -> None:
        self._manifest = manifest
        self._sources = sources
        self._keys = keys
        self._values: dict[str, Opened] = {}
        self._opened: dict[tuple[str, SourceFormat], Sensitive | Picker | Readers | SecretsmithError] = {}
        self._waiting: dict[tuple[str, SourceFormat], set[str]] = {}
        for secret in manifest.secrets:
            self._waiting.setdefault((secret.source, secret.format), set()).add(secret.name)

    def value(self, secret: ManifestSecret) -> Opened:
        """Return the value of ``secret``, or the error that kept it; never raises for one secret.

        Asked again, it gives the same object.
        """
        if secret.name not in self._values:
            self._values[secret.name] = self._value(secret)
            self._let_go(secret)
        return self._values[secret.name]

    def readers(self, paths: Iterable[str]) -> list[Readers]:
        """Return whom the sources ``paths`` are for, those that no key opened; damaged ones say nothing."""
        shut = {path: found for (path, _), found in self._opened.items() if isinstance(found, Readers)}
        return [shut[path] for path in dict.fromkeys(paths) if path in shut]

    def _value(self, secret: ManifestSecret) -> Opened:
        try:
            found = self._source(secret)
            if isinstance(found, Sensitive | SecretsmithError):
                return found
            if isinstance(found, Readers):
                return not_a_reader(self._manifest, secret, found, self._keys)
            return found.value(secret.key, secret.output)
        except SecretsmithError as error:
            return error.at(secret.source)
        except Exception as error:  # at boot, a mistake of ours must not take all secrets with it
            return _internal(secret, error)

    def _source(self, secret: ManifestSecret) -> Sensitive | Picker | Readers | SecretsmithError:
        path = secret.source
        self._sources.read(path)
        if path in self._sources.failures:
            failure = self._sources.failures[path]
            is_undelivered = secret.live is not None and failure.code is Code.NOT_FOUND
            return undelivered(self._manifest, secret) if is_undelivered else failure
        if not self._keys.keys:
            return CannotDecrypt(Code.NO_IDENTITY, f"{path}: this host has no key to open it with", path=path)
        found = self._opened.get((path, secret.format))
        if found is None:
            found = self._opened[path, secret.format] = self._open(secret)
            # Not all sources and all values in memory at once.
            self._release(path)
        return found

    def _open(self, secret: ManifestSecret) -> Sensitive | Picker | Readers | SecretsmithError:
        data = self._sources.contents[secret.source]
        try:
            if secret.format is SourceFormat.AGE:
                return self._open_age(data)
            return self._open_document(secret.format, data)
        except SecretsmithError as error:
            return (_mistaken(secret, data) or error).at(secret.source)
        except Exception as error:  # as above; and not tried again for each secret of the source
            return _internal(secret, error)

    def _open_age(self, data: bytes) -> Sensitive | Readers:
        from secretsmith.crypto.agefile import decrypt_age

        try:
            return decrypt_age(data, self._keys.identities).plaintext
        except CannotDecrypt as error:
            if error.code is not Code.NO_IDENTITY:
                raise
            return readers_of_source(SourceFormat.AGE, data)

    def _open_document(self, kind: SourceFormat, data: bytes) -> Picker | Readers:
        from secretsmith.activation.opening.picking import Picker
        from secretsmith.documents.format import Format
        from secretsmith.documents.seal import open_key, read_document
        from secretsmith.documents.sopsopen import open_values

        file = read_document(Format(kind.value), data)
        try:
            recovered = open_key(file, self._keys.identities)
        except CannotDecrypt as error:
            if error.code is not Code.NO_IDENTITY:
                raise
            return document_readers(file)
        return Picker(open_values(file, recovered))

    def _release(self, path: str) -> None:
        """Let go of the bytes of a source, unless it is still to be read as another format."""
        places = [(path, kind) for kind in SourceFormat]
        if all(place not in self._waiting or place in self._opened for place in places):
            self._sources.release(path)

    def _let_go(self, secret: ManifestSecret) -> None:
        """Let go of a document after its last secret; what could not be opened is little, and asked for later."""
        place = (secret.source, secret.format)
        waiting = self._waiting.get(place, set())
        waiting.discard(secret.name)
        if not waiting and not isinstance(self._opened.get(place), Readers):
            self._opened.pop(place, None)
            self._waiting.pop(place, None)
            self._release(secret.source)


def _internal(secret: ManifestSecret, error: Exception) -> SecretsmithError:
    # The type alone: what Python says of a value may hold it.
    text = f"{secret.source}: internal error: {type(error).__name__}"
    return SecretsmithError(Code.ERROR, text, path=secret.source)


def _mistaken(secret: ManifestSecret, data: bytes) -> RefusedInput | None:
    """Return what is wrong with a file of another kind than the manifest says; None if that is not it."""
    from secretsmith.documents.format import HEAD, Format, looks_encrypted

    is_age = looks_encrypted(Format.AGE, data[:HEAD])
    if is_age == (secret.format is SourceFormat.AGE):
        return None
    if not is_age and not any(looks_encrypted(kind, data[:HEAD]) for kind in Format):
        return None
    what = "an age file" if is_age else "a sops document"
    return RefusedInput(Code.FORMAT, f"the file is {what}, and the manifest says {secret.format}")


__all__ = ["Opened", "Openings"]
