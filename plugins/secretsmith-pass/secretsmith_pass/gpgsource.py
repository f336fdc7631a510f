"""``pass:NAME``: entries of pass, opened by gpg."""

from __future__ import annotations

from typing import ClassVar, Final

from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, NotFound, RefusedInput
from secretsmith.plugin.api import PluginContext
from secretsmith.sensitive import Sensitive
from secretsmith_pass.gnupg import decrypt, encrypt, is_signed, keys_here
from secretsmith_pass.places import pass_store
from secretsmith_pass.reference import Reference
from secretsmith_pass.stores import Store
from secretsmith_pass.storesource import StoreSource

_RULES: Final = ".gpg-id"


class PassSource(StoreSource):
    """The stores of pass 1.7."""

    scheme: ClassVar = "pass"

    def __init__(self) -> None:
        self._unanswered: set[str] = set()

    def _store(self, reference: Reference, context: PluginContext) -> Store:
        return pass_store(reference, context.environ)

    def _opened(self, reference: Reference, data: bytes, context: PluginContext) -> Sensitive:
        shown = f"pass:{reference.entry}"
        if not context.interaction.available:
            return decrypt(data, shown, context)
        self._refuse_unanswered(data, shown, context)
        try:
            return decrypt(data, shown, context)
        except CannotDecrypt as error:
            if error.code is Code.PASSPHRASE:
                self._unanswered |= keys_here(data, context)
            raise

    def _refuse_unanswered(self, data: bytes, shown: str, context: PluginContext) -> None:
        """Who left the prompt for a key once is not asked for it again by each of its entries; other keys go on.

        It has another code than the failure that was told: there is nothing to ask about this one.
        """
        keys = keys_here(data, context) if self._unanswered else frozenset()
        if keys and keys <= self._unanswered:
            key = min(keys)
            raise CannotDecrypt(
                Code.NO_IDENTITY,
                f"{shown}: the gpg key {key} is locked, and its passphrase was not given before",
                hints=("run it again",),
            )

    def _sealed(self, reference: Reference, store: Store, entry: Sensitive, context: PluginContext) -> bytes:
        shown = f"pass:{reference.entry}"
        return encrypt(entry, _readers(store, reference.name, shown, context), shown, context)


def _readers(store: Store, name: str, shown: str, context: PluginContext) -> tuple[str, ...]:
    """Who reads an entry, by pass's own rules: $PASSWORD_STORE_KEY, else the nearest ``.gpg-id``."""
    if given := context.environ.get("PASSWORD_STORE_KEY", "").split():
        return tuple(given)
    found = store.nearest(name, _RULES)
    if found is None:
        raise NotFound(
            Code.RECIPIENT_MISSING,
            f"{shown}: no .gpg-id in {store.shown} says who reads it",
            hints=("pass init YOUR-GPG-KEY",),
        )
    place, data = found
    _require_signed(store, name, place, context)
    lines = (line.partition("#")[0].strip() for line in data.decode("utf-8", "replace").splitlines())
    readers = tuple(line for line in lines if line)
    if not readers:
        raise RefusedInput(Code.RECIPIENT_MISSING, f"{place}: names no gpg key")
    return readers


def _require_signed(store: Store, name: str, place: str, context: PluginContext) -> None:
    """Who signs his ``.gpg-id`` files does not want anybody else to say who reads the store."""
    keys = context.environ.get("PASSWORD_STORE_SIGNING_KEY", "").split()
    if not keys:
        return
    rules = store.root / place.removeprefix(f"{store.shown}/")
    signature = rules.with_name(f"{_RULES}.sig")
    if not is_signed(rules, signature, keys, context):
        raise IntegrityFailure(
            Code.RECIPIENT_MISMATCH,
            f"{place}: is not signed by a key of PASSWORD_STORE_SIGNING_KEY",
            hints=("look at it; then sign it anew: pass init YOUR-GPG-KEY",),
        )


__all__ = ["PassSource"]
