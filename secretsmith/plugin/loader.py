"""Finds plugins by entry point, loads one when its name is used, and refuses it in one line when it is not as it should be.

Loading imports one plugin, calls its factory and holds the result against the Protocol of its group; built-ins take the
same way. Whatever is wrong with a plugin breaks what asked for that plugin and nothing else: another one is never chosen in
its place.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from types import FrameType
from typing import Any, Final, Generic, Literal, TypeVar, cast

from secretsmith.errors import Code, NotFound, SecretsmithError
from secretsmith.plugin.api import Builder, CommandPlugin, Generator, IdentityProvider, Source
from secretsmith.plugin.discovery import Entry, built_in_entries, installed_entries
from secretsmith.plugin.validation import complaint
from secretsmith.record import record

LOAD_BUDGET: Final = 1.0
"""Seconds that importing a plugin may take before ``plugins list`` calls it slow."""

LOAD_LIMIT: Final = 10.0
"""Seconds after which the import is interrupted and the plugin refused."""

_OURS: Final = {
    "secretsmith.builders/nix": "secretsmith-nix",
    "secretsmith.builders/systemd": "secretsmith-systemd",
    "secretsmith.sources/pass": "secretsmith-pass",
    "secretsmith.sources/passage": "secretsmith-pass",
    "secretsmith.sources/gopass": "secretsmith-pass",
}
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")

P_co = TypeVar("P_co", covariant=True)


@record
class Loaded(Generic[P_co]):
    """A plugin that passed validation. ``seconds`` is how long loading took."""

    plugin: P_co
    entry: Entry
    seconds: float

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Turn what a call into the plugin raises into one line that names it; our own errors pass.

        Only the kind of the exception and its place are told: the text of a foreign exception may hold a value.
        """
        try:
            yield
        except SecretsmithError:
            raise
        except (Exception, SystemExit) as error:
            # From None: no handler further up may print the chain with its local values.
            raise _failed(self.entry, f"failed with {type(error).__name__}{_place(error)}") from None


@record
class PluginRow:
    """One line of ``plugins list``. ``error`` says why the state is not "ok"; empty otherwise."""

    name: str
    group: str
    distribution: str
    version: str
    state: Literal["ok", "slow", "broken"]
    error: str


class Loader:
    """The plugins of one process. ``entries`` default to the built-ins and everything installed."""

    def __init__(
        self,
        entries: Iterable[Entry] | None = None,
        *,
        budget: float = LOAD_BUDGET,
        limit: float = LOAD_LIMIT,
    ) -> None:
        self._given = entries
        self._budget = budget
        self._limit = limit
        self._loaded: dict[Entry, Loaded[Any]] = {}

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """What is there, by group and name. Imports no plugin."""
        found = (*built_in_entries(), *installed_entries()) if self._given is None else self._given
        return tuple(sorted(found, key=lambda entry: (entry.group, entry.name, not entry.built_in)))

    def names(self, group: str) -> tuple[str, ...]:
        """Return the names of a group, sorted."""
        return tuple(dict.fromkeys(entry.name for entry in self.entries if entry.group == group))

    def builder(self, name: str) -> Loaded[Builder]:
        """Load a builder. Raises NotFound (PLUGIN_MISSING) or SecretsmithError (PLUGIN_FAILED), naming the distribution."""
        return cast(Loaded[Builder], self._load("secretsmith.builders", name))

    def source(self, name: str) -> Loaded[Source]:
        """Load the source with this scheme; raises as :meth:`builder`."""
        return cast(Loaded[Source], self._load("secretsmith.sources", name))

    def identity_provider(self, name: str) -> Loaded[IdentityProvider]:
        """Load an identity provider; raises as :meth:`builder`."""
        return cast(Loaded[IdentityProvider], self._load("secretsmith.identities", name))

    def generator(self, name: str) -> Loaded[Generator]:
        """Load a generator; raises as :meth:`builder`."""
        return cast(Loaded[Generator], self._load("secretsmith.generators", name))

    def command(self, name: str) -> Loaded[CommandPlugin]:
        """Load a command; raises as :meth:`builder`."""
        return cast(Loaded[CommandPlugin], self._load("secretsmith.commands", name))

    def rows(self) -> tuple[PluginRow, ...]:
        """Load everything and say how it went; never raises for a plugin's sake."""
        return tuple(self._row(entry) for entry in self.entries)

    def _row(self, entry: Entry) -> PluginRow:
        state: Literal["ok", "slow", "broken"] = "ok"
        error = ""
        try:
            seconds = self._load_entry(entry).seconds
        except SecretsmithError as refused:
            state, error = "broken", refused.message
        else:
            if seconds > self._budget:
                state, error = "slow", f"took {seconds:.1f} s to load, the budget is {self._budget:g} s"
        return PluginRow(entry.name, entry.group, entry.distribution, entry.version, state, error)

    def _load(self, group: str, name: str) -> Loaded[Any]:
        for entry in self.entries:  # a built-in comes first among those of one name
            if (entry.group, entry.name) == (group, name):
                return self._load_entry(entry)
        raise self._missing(group, name)

    def _load_entry(self, entry: Entry) -> Loaded[Any]:
        if entry not in self._loaded:
            self._refuse_rivals(entry)
            self._loaded[entry] = _load(entry, self._limit)
        return self._loaded[entry]

    def _refuse_rivals(self, entry: Entry) -> None:
        if entry.built_in:
            return
        for other in self.entries:
            if other is entry or (other.group, other.name) != (entry.group, entry.name):
                continue
            # Taking the first would let any distribution step in front of another.
            taken = "is built in" if other.built_in else f"is also in {other.distribution} {other.version}"
            raise _failed(
                entry, f"is refused: a plugin of this name {taken}", hint="uninstall one of the two"
            )

    def _missing(self, group: str, name: str) -> NotFound:
        kind = group.removeprefix("secretsmith.")
        known = ", ".join(self.names(group)) or "none"
        return NotFound(
            Code.PLUGIN_MISSING,
            f"no plugin named {name!a} among the {kind}",
            hints=(*_comes_with(group, name), f"installed {kind}: {known}", "secretsmith plugins list"),
        )


def _comes_with(group: str, name: str) -> tuple[str, ...]:
    distribution = _OURS.get(f"{group}/{name}")
    return (f"install {distribution}, which brings it",) if distribution else ()


def list_plugins(loader: Loader | None = None) -> tuple[PluginRow, ...]:
    """Return a row for every plugin, loaded once to see whether it works."""
    return (loader or Loader()).rows()


def _load(entry: Entry, limit: float) -> Loaded[Any]:
    if not _NAME.match(entry.name):
        raise _failed(
            entry, "is refused: its entry point is malformed; names are lower-case letters, digits and dashes"
        )
    started = time.monotonic()
    try:
        with _at_most(limit), contextlib.redirect_stdout(sys.stderr):
            plugin = _factory(entry)()
    except _TooLong:
        raise _failed(entry, f"is refused: not loaded after {limit:g} s, the limit") from None
    except (Exception, SystemExit) as error:
        raise _failed(entry, f"is refused: loading it ended with {_told(error)}") from None
    seconds = time.monotonic() - started
    if wrong := complaint(entry.group, plugin):
        raise _failed(entry, f"is refused: {wrong}")
    return Loaded(plugin, entry, seconds)


def _factory(entry: Entry) -> Callable[[], object]:
    module, _, attribute = entry.value.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return cast(Callable[[], object], found)


class _TooLong(BaseException):
    """Loading took too long. No Exception, so that a plugin's own ``except Exception`` cannot swallow it."""


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Interrupt the body after ``seconds``, where signals can be had: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _failed(entry: Entry, what: str, *, hint: str = "secretsmith plugins list") -> SecretsmithError:
    return SecretsmithError(Code.PLUGIN_FAILED, f"{entry.title} {what}", hints=(hint,))


def _told(error: BaseException) -> str:
    """The first line of an error that happened before the plugin could know any value."""
    line = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {line[:200]}" if line else type(error).__name__


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" in {trace.tb_frame.f_globals.get('__name__', '?')}, line {trace.tb_lineno}"


__all__ = ["LOAD_BUDGET", "LOAD_LIMIT", "Loaded", "Loader", "PluginRow", "list_plugins"]
