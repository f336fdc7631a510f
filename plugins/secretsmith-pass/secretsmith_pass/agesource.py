"""``passage:NAME`` and ``gopass:NAME``: entries that are age files, opened by secretsmith itself."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Final

from secretsmith.errors import CannotDecrypt, Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.plugin.api import PluginContext
from secretsmith.sensitive import Sensitive
from secretsmith_pass.places import gopass_identities, gopass_store, passage_identities, passage_store
from secretsmith_pass.reference import Reference
from secretsmith_pass.stores import Store
from secretsmith_pass.storesource import StoreSource

_RULES: Final = ".age-recipients"


class AgeStoreSource(StoreSource):
    """A store of age files: its own private keys open them, else those that secretsmith knows."""

    def _opened(self, reference: Reference, data: bytes, context: PluginContext) -> Sensitive:
        own, shown = self._identities(context), f"{self.scheme}:{reference.entry}"
        try:
            return context.open_age_with(data, own)
        except CannotDecrypt as error:
            if error.code is not Code.NO_IDENTITY and context.interaction.available:
                raise error.at(shown) from None  # a wrong passphrase
            first = error
        except SecretsmithError as error:
            raise error.at(shown) from None
        try:
            # An entry may be encrypted to ssh keys as well, which both programs leave to their owner.
            return context.open_age(data)
        except CannotDecrypt:
            if first.code is not Code.NO_IDENTITY:
                raise first.at(shown) from None
        raise CannotDecrypt(
            Code.NO_IDENTITY,
            f"{shown}: neither the keys in {own} nor yours open it",
            hints=("secretsmith identity list shows which of yours there are",),
        )

    def _sealed(self, reference: Reference, store: Store, entry: Sensitive, context: PluginContext) -> bytes:
        place, readers = self._readers(reference, store, context)
        try:
            return context.seal_age(entry, readers)
        except SecretsmithError as error:
            raise error.at(place) from None

    def _readers(
        self, reference: Reference, store: Store, context: PluginContext
    ) -> tuple[str, tuple[str, ...]]:
        """Say who reads an entry, and which file says so: the nearest ``.age-recipients``, else the private keys."""
        found = store.nearest(reference.name, _RULES)
        if found is not None:
            return found[0], _lines(*found)
        identities = self._identities(context)
        if own := context.age_recipients(identities):
            return str(identities), own
        raise NotFound(
            Code.RECIPIENT_MISSING,
            f"{self.scheme}:{reference.entry}: no {_RULES} in {store.shown} says who reads it",
            hints=(f"write one with an age1… or ssh-ed25519 line for each reader: {store.shown}/{_RULES}",),
        )

    @abstractmethod
    def _identities(self, context: PluginContext) -> Path:
        """Return the file with the store's private keys, which need not exist."""


def _lines(place: str, data: bytes) -> tuple[str, ...]:
    lines = (line.strip() for line in data.decode("utf-8", "replace").splitlines())
    readers = tuple(line for line in lines if line and not line.startswith("#"))
    if not readers:
        raise RefusedInput(Code.RECIPIENT_MISSING, f"{place}: names no key")
    return readers


class PassageSource(AgeStoreSource):
    """The store of passage."""

    scheme: ClassVar = "passage"

    def _store(self, reference: Reference, context: PluginContext) -> Store:
        return passage_store(reference, context.environ)

    def _identities(self, context: PluginContext) -> Path:
        return passage_identities(context.environ)

    def _readers(
        self, reference: Reference, store: Store, context: PluginContext
    ) -> tuple[str, tuple[str, ...]]:
        # passage's own order: a file for all, words for all, then what lies in the store.
        if path := context.environ.get("PASSAGE_RECIPIENTS_FILE"):
            return path, _lines(path, _read(path))
        if words := context.environ.get("PASSAGE_RECIPIENTS", "").split():
            return "PASSAGE_RECIPIENTS", tuple(words)
        return super()._readers(reference, store, context)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise RefusedInput(Code.ACCESS, f"{path}: {(error.strerror or 'cannot be read').lower()}") from None


class GopassSource(AgeStoreSource):
    """The stores of gopass with its age backend."""

    scheme: ClassVar = "gopass"

    def _store(self, reference: Reference, context: PluginContext) -> Store:
        return gopass_store(reference, context.environ)

    def _identities(self, context: PluginContext) -> Path:
        return gopass_identities(context.environ)


__all__ = ["AgeStoreSource", "GopassSource", "PassageSource"]
