"""Contract suites for plugin authors: subclass one in a pytest module, fill in the few abstract methods, run it."""

from secretsmith.testing.builders import BuilderContract
from secretsmith.testing.identities import IdentityCase, IdentityContract
from secretsmith.testing.repository import HOST_FILES, sample_context
from secretsmith.testing.sources import SourceCase, SourceContract

__all__ = [
    "HOST_FILES",
    "BuilderContract",
    "IdentityCase",
    "IdentityContract",
    "SourceCase",
    "SourceContract",
    "sample_context",
]
