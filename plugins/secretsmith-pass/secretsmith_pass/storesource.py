"""What sources of all stores share: references, digests, the part of an entry that is meant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.plugin.api import Fetched, PluginContext
from secretsmith.sensitive import Sensitive
from secretsmith_pass.committing import commit_entry
from secretsmith_pass.reference import ALL, Reference, escaped, parse_reference
from secretsmith_pass.selecting import selected, with_first_line
from secretsmith_pass.stores import Store, digest_of


class StoreSource(ABC):
    """A source whose entries are encrypted files below a folder."""

    api_version: ClassVar = 1
    scheme: ClassVar[str]

    def fetch(self, reference: str, context: PluginContext) -> Fetched:
        """Decrypt the entry and return the part that ``reference`` means.

        Raises:
            NotFound: no such store, entry, line or key.
            CannotDecrypt: no key for it, or it is locked.
            RefusedInput: the reference leads out of the store, or what it means is not certain.
            IntegrityFailure: the entry is damaged.
        """
        wanted = parse_reference(self.scheme, reference)
        store = self._store(wanted, context)
        data = store.read(wanted.name)
        if data is None:
            raise store.missing(wanted)
        entry = self._opened(wanted, data, context)
        # The digest is that of the bytes that were opened, not of what lies there a moment later.
        return Fetched(selected(wanted, entry, context.interaction.notice), digest_of(data))

    def digest(self, reference: str, context: PluginContext) -> str | None:
        """Return the SHA256 of the encrypted entry; None where it cannot be read. Raises RefusedInput for no reference."""
        wanted = parse_reference(self.scheme, reference)
        try:
            data = self._store(wanted, context).read(wanted.name)
        except SecretsmithError:
            return None  # `check` goes on with the other links; what is wrong here, fetching says
        return None if data is None else digest_of(data)

    def store(self, reference: str, value: Sensitive, context: PluginContext) -> None:
        """Write the entry as the store's rules want it, and commit it where the store is a git tree.

        ``NAME#*`` is the whole entry, ``NAME`` its first line: those behind it stay.

        Raises:
            RefusedInput: another selector, a value of several lines for one line, readers that cannot be encrypted to.
            NotFound: there is no store, or no rule that says who reads it.
            CannotDecrypt: the lines that would stay cannot be read.
            SecretsmithError: git or the disk refused; the store is as it was.
        """
        wanted = parse_reference(self.scheme, reference)
        store = self._store(wanted, context)
        if not store.root.is_dir():
            raise store.missing(wanted)
        before = store.read(wanted.name)
        entry = self._entry(wanted, value, before, context)
        data = self._sealed(wanted, store, entry, context)
        place = store.find(wanted.name) or store.path_of(wanted.name)
        commit_entry(store, escaped(wanted.name), place, data, before, context)

    def references(self, prefix: str, context: PluginContext) -> Sequence[str]:
        """Return the references of the entries whose names begin with ``prefix``; behind it ``?store=`` may stand.

        Raises:
            NotFound: no store of that name, or it has no folder.
        """
        name, asked, _ = prefix.partition("?")
        any_entry = parse_reference(self.scheme, "x" + prefix[len(name) :] if asked else "x")
        store = self._store(any_entry, context)
        if not store.root.is_dir():
            raise store.missing(any_entry)
        found = (Reference(self.scheme, entry, None, any_entry.store).entry for entry in store.names())
        return sorted(text for text in found if text.startswith(name))

    def _entry(
        self, reference: Reference, value: Sensitive, before: bytes | None, context: PluginContext
    ) -> Sensitive:
        """Make the whole entry that holds ``value`` where ``reference`` says."""
        if reference.selector == ALL:
            return value
        if reference.selector is not None:
            raise RefusedInput(
                Code.USAGE,
                f"{reference.shown}: only the first line or the whole of an entry can be written",
                hints=(f"{self.scheme}:{reference.entry}", f"{self.scheme}:{reference.entry}#*"),
            )
        if not value or b"\n" in value.expose():
            raise RefusedInput(
                Code.FORMAT,
                f"{reference.shown}: the value is not one line, and would not be read back as it is",
                hints=(f"all of the entry: {self.scheme}:{reference.entry}#*",),
            )
        old = Sensitive(b"") if before is None else self._opened(reference, before, context)
        return with_first_line(old, value)

    @abstractmethod
    def _store(self, reference: Reference, context: PluginContext) -> Store:
        """Return the store that ``reference`` means."""

    @abstractmethod
    def _opened(self, reference: Reference, data: bytes, context: PluginContext) -> Sensitive:
        """Decrypt the bytes of an entry."""

    @abstractmethod
    def _sealed(self, reference: Reference, store: Store, entry: Sensitive, context: PluginContext) -> bytes:
        """Encrypt an entry to those who the store says read it."""


__all__ = ["StoreSource"]
