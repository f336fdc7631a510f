"""Private keys and passphrases from plugins: asked after every place of our own, and before the person.

A plugin is somebody else's code in the middle of opening a file: whatever goes wrong with it is a remark, it is not asked
twice for the same thing, and not at all while it is answering, since it may open files itself through its context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from secretsmith.errors import SecretsmithError
from secretsmith.identities.parse import FoundKeys, parse_keys
from secretsmith.interaction import Interaction
from secretsmith.record import field, record
from secretsmith.sensitive import Sensitive

_T = TypeVar("_T")


class Provider(Protocol):
    """One plugin as the ring sees it; every method may raise ``SecretsmithError``, in one line that names the plugin."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def offers(self) -> Iterator[tuple[str, Sensitive]]:
        """Yield keys lazily: what people call each, and its text."""
        ...

    def passphrase(self, entry: str) -> Sensitive | None:
        """Return the passphrase of the locked key that keyrings know as ``entry``; None when it is not known."""
        ...


@record(frozen=False)
class Offers:
    """What one provider has given in this run.

    ``remark`` says why there is no more of it, or is empty; ``wrong`` what came of passphrases that did not fit, by entry.
    """

    provider: Provider
    interaction: Interaction
    remark: str = ""
    wrong: dict[str, str] = field(default_factory=dict)
    _items: Iterator[tuple[str, Sensitive]] | None = None
    _asked: set[str] = field(default_factory=set)
    _answering: bool = False

    def next(self) -> FoundKeys | None:
        """Return the keys of the next offer with what people call it as remark; None when there is none (any more)."""
        while not self._answering:
            item = self._from_plugin(self._next_item)
            if item is None:
                return None
            label, material = item
            try:
                found = parse_keys(material.expose(), label, self.interaction)
            except SecretsmithError as error:
                self.remark = f"{label}: {error.message}"
                continue
            return FoundKeys(found.identities, found.locked, label)
        return None

    def passphrase(self, entry: str) -> Sensitive | None:
        """Return the passphrase for ``entry``, the first time that it is asked for."""
        if self._answering or entry in self._asked:
            return None
        self._asked.add(entry)
        return self._from_plugin(lambda: self.provider.passphrase(entry))

    def _next_item(self) -> tuple[str, Sensitive] | None:
        if self._items is None:
            self._items = self.provider.offers()
        return next(self._items, None)

    def _from_plugin(self, ask: Callable[[], _T | None]) -> _T | None:
        with self._busy():
            try:
                return ask()
            except SecretsmithError as error:
                self.remark = error.message
                return None

    @contextmanager
    def _busy(self) -> Iterator[None]:
        self._answering = True
        try:
            yield
        finally:
            self._answering = False


__all__ = ["Offers", "Provider"]
