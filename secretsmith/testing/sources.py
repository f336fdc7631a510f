"""The contract of sources, as tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

from secretsmith.errors import NotFound
from secretsmith.plugin.api import PluginContext, Source
from secretsmith.plugin.validation import complaint
from secretsmith.record import field, record
from secretsmith.testing.expectation import expect, refused
from secretsmith.testing.repository import sample_context, snapshot


@record
class SourceCase:
    """A store with one entry: its reference and value, a reference that is not there, and how to change the entry.

    ``environ`` is what the source needs to find the store, and SECRETSMITH_IDENTITY if it needs a key.
    """

    reference: str
    value: bytes
    missing: str
    change: Callable[[], None]
    environ: Mapping[str, str] = field(default_factory=dict)


class SourceContract(ABC):
    """What every source does. Each test gets a fresh store and a fresh sample repository."""

    @abstractmethod
    def source(self) -> Source:
        """Return the source, as the factory makes it."""

    @abstractmethod
    def case(self, folder: Path) -> SourceCase:
        """Make a store in the empty folder ``folder``."""

    def _prepared(self, folder: Path) -> tuple[Source, SourceCase, PluginContext]:
        store, repository = folder / "store", folder / "repository"
        store.mkdir()
        repository.mkdir()
        case = self.case(store)
        return self.source(), case, sample_context(repository, case.environ)

    def test_satisfies_the_protocol(self) -> None:
        """The loader would accept it."""
        wrong = complaint("secretsmith.sources", self.source())
        expect(wrong is None, f"the loader refuses it: {wrong}")

    def test_fetches_the_value_byte_for_byte(self, tmp_path: Path) -> None:
        """``fetch`` returns exactly the value."""
        source, case, context = self._prepared(tmp_path)
        # The value itself stays out of the message: a contract is also run on real stores.
        expect(
            source.fetch(case.reference, context).value.expose() == case.value,
            "another value than the stored one",
        )

    def test_digest_is_stable_and_follows_changes(self, tmp_path: Path) -> None:
        """``digest`` is what ``fetch`` said until the entry changes."""
        source, case, context = self._prepared(tmp_path)
        before = source.digest(case.reference, context)
        expect(
            source.digest(case.reference, context) == before, "two looks at the same entry give two digests"
        )
        expect(source.fetch(case.reference, context).digest == before, "fetch and digest disagree")
        case.change()
        after = source.digest(case.reference, context)
        expect(before is None or after != before, "the digest did not change with the entry")

    def test_digest_needs_no_key(self, tmp_path: Path) -> None:
        """``digest`` decrypts nothing."""
        source, case, context = self._prepared(tmp_path)
        keyless = sample_context(_made(tmp_path / "keyless"), _without_identity(case.environ))
        expect(
            source.digest(case.reference, keyless) == source.digest(case.reference, context),
            "the digest depends on a key",
        )

    def test_a_missing_entry_is_not_found(self, tmp_path: Path) -> None:
        """``fetch`` raises NotFound, ``digest`` cannot judge; neither makes a value up."""
        source, case, context = self._prepared(tmp_path)
        expect(source.digest(case.missing, context) is None, "a digest of an entry that is not there")
        with refused(NotFound, "a missing entry") as error:
            source.fetch(case.missing, context)
        told = " ".join((error[0].message, *error[0].hints))
        expect(case.value.decode("utf-8", "replace") not in told, "the error tells a value of the store")

    def test_nothing_is_written(self, tmp_path: Path) -> None:
        """Reading leaves store and repository as they were."""
        source, case, context = self._prepared(tmp_path)
        before = snapshot(tmp_path)
        source.digest(case.reference, context)
        source.fetch(case.reference, context)
        expect(snapshot(tmp_path) == before, "the source changed a file")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _without_identity(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name != "SECRETSMITH_IDENTITY"}


__all__ = ["SourceCase", "SourceContract"]
