"""The contract of identity providers, as tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from secretsmith.crypto.agefile import decrypt_age
from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.identities.parse import parse_keys
from secretsmith.interaction import NoInteraction
from secretsmith.plugin.api import IdentityProvider, OfferedIdentity, PassphraseProvider, PluginContext
from secretsmith.plugin.validation import complaint
from secretsmith.record import field, record
from secretsmith.sensitive import Sensitive
from secretsmith.testing.expectation import expect
from secretsmith.testing.repository import sample_context, snapshot

_VALUE = b"a value of the contract"
_UNKNOWN = "SHA256:" + "A" * 43


@record
class IdentityCase:
    """A place with keys: the public line of one that is offered, and the passphrases it knows, by fingerprint.

    ``recipient`` is None for a provider of passphrases alone; ``environ`` is what the provider needs to find the place.
    """

    recipient: str | None
    passphrases: Mapping[str, bytes] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


class IdentityContract(ABC):
    """What every identity provider does. Each test gets a fresh place and a fresh sample repository."""

    @abstractmethod
    def provider(self) -> IdentityProvider:
        """Return the provider, as the factory makes it."""

    @abstractmethod
    def case(self, folder: Path) -> IdentityCase:
        """Make a place with keys in the empty folder ``folder``."""

    def _prepared(self, folder: Path) -> tuple[IdentityProvider, IdentityCase, PluginContext]:
        place, repository = folder / "place", folder / "repository"
        place.mkdir()
        repository.mkdir()
        case = self.case(place)
        return self.provider(), case, sample_context(repository, case.environ)

    def test_satisfies_the_protocol(self) -> None:
        """The loader would accept it."""
        wrong = complaint("secretsmith.identities", self.provider())
        expect(wrong is None, f"the loader refuses it: {wrong}")

    def test_offers_a_key_that_opens(self, tmp_path: Path) -> None:
        """One of the identities opens a file that is encrypted to the recipient."""
        provider, case, context = self._prepared(tmp_path)
        if case.recipient is None:
            return
        data = seal_value(Format.AGE, Sensitive(_VALUE), [case.recipient], armor=False)
        found = [
            identity
            for offered in provider.identities(context)
            for identity in parse_keys(offered.material.expose(), offered.label, NoInteraction()).identities
        ]
        expect(bool(found), "it offers no key that is ready to use")
        expect(decrypt_age(data, iter(found)).plaintext.expose() == _VALUE, "another value came out")

    def test_labels_are_for_people(self, tmp_path: Path) -> None:
        """Each is one line, and holds nothing of the key."""
        provider, _, context = self._prepared(tmp_path)
        for offered in provider.identities(context):
            expect(isinstance(offered, OfferedIdentity), "it offers something that is no OfferedIdentity")
            expect(bool(offered.label) and offered.label.isprintable(), "a label is empty or no line of text")
            lines = offered.material.expose().decode("utf-8", "replace").splitlines()
            expect(
                not any(line.strip() and line.strip() in offered.label for line in lines),
                "a label holds a line of the private key",
            )

    def test_passphrases_by_fingerprint(self, tmp_path: Path) -> None:
        """Those that it knows, and None for any other key."""
        provider, case, context = self._prepared(tmp_path)
        if not isinstance(provider, PassphraseProvider):
            expect(not case.passphrases, "the case has passphrases, the provider no method for them")
            return
        for fingerprint, passphrase in case.passphrases.items():
            found = provider.passphrase(fingerprint, context)
            expect(found is not None and found.expose() == passphrase, "not the passphrase of the case")
        expect(provider.passphrase(_UNKNOWN, context) is None, "a passphrase for a key that nobody has")

    def test_nothing_is_written(self, tmp_path: Path) -> None:
        """Reading leaves the place and the repository as they were."""
        provider, _, context = self._prepared(tmp_path)
        before = snapshot(tmp_path)
        list(provider.identities(context))
        expect(snapshot(tmp_path) == before, "the provider changed a file")


__all__ = ["IdentityCase", "IdentityContract"]
