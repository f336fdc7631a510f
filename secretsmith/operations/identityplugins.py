"""Plugins of the group ``secretsmith.identities`` as further places of a project's ring of keys.

Nothing is looked for, imported or asked before a file is to be opened that no key of our own places opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from secretsmith.record import record

if TYPE_CHECKING:
    from secretsmith.errors import SecretsmithError
    from secretsmith.identities.provided import Provider
    from secretsmith.plugin.api import IdentityProvider
    from secretsmith.plugin.loader import Loaded, Loader
    from secretsmith.project import Project
    from secretsmith.sensitive import Sensitive

GROUP: Final = "secretsmith.identities"


def with_identity_plugins(project: Project, loader: Loader | None = None) -> Project:
    """Let the ring of ``project`` ask the installed plugins, after its own places; return the project. Looks at nothing yet."""
    project.ring.provided_by(lambda: tuple(_providers(project, loader)))
    return project


def _providers(project: Project, loader: Loader | None) -> Iterator[Provider]:
    from secretsmith.plugin.loader import Loader

    found = loader or Loader()
    for name in found.names(GROUP):
        yield _Plugin(name, project, found)


@record
class _Plugin:
    """One plugin, loaded when something is asked of it."""

    plugin: str
    project: Project
    loader: Loader

    @property
    def name(self) -> str:
        return f"plugin {self.plugin}"

    def offers(self) -> Iterator[tuple[str, Sensitive]]:
        from secretsmith.operations.plugincontext import RepositoryContext
        from secretsmith.plugin.api import OfferedIdentity
        from secretsmith.sensitive import Sensitive

        loaded = self._loaded()
        with loaded.guard():
            items = iter(loaded.plugin.identities(RepositoryContext(self.project)))
        item: object
        while True:
            with loaded.guard():  # never around a yield: it would take our own errors for the plugin's
                item = next(items, None)
            if item is None:
                return
            if not isinstance(item, OfferedIdentity):
                raise _wrong(loaded, "offers something that is no OfferedIdentity")
            material: object = item.material
            if not isinstance(material, Sensitive):
                raise _wrong(loaded, "offers a key that is not Sensitive")
            yield str(item.label), material

    def passphrase(self, entry: str) -> Sensitive | None:
        from secretsmith.operations.plugincontext import RepositoryContext
        from secretsmith.plugin.api import PassphraseProvider
        from secretsmith.sensitive import Sensitive

        loaded = self._loaded()
        if not isinstance(loaded.plugin, PassphraseProvider):
            return None
        with loaded.guard():
            found: object = loaded.plugin.passphrase(entry, RepositoryContext(self.project))
        if found is not None and not isinstance(found, Sensitive):
            raise _wrong(loaded, "gives a passphrase that is none")
        return found

    def _loaded(self) -> Loaded[IdentityProvider]:
        return self.loader.identity_provider(self.plugin)


def _wrong(loaded: Loaded[IdentityProvider], what: str) -> SecretsmithError:
    from secretsmith.errors import Code, SecretsmithError

    return SecretsmithError(
        Code.PLUGIN_FAILED, f"{loaded.entry.title} {what}", hints=("secretsmith plugins list",)
    )


__all__ = ["GROUP", "with_identity_plugins"]
