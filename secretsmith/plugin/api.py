"""What a plugin author imports: five small Protocols, their data, and the context that gives access to the repository.

A plugin is a factory without parameters, named by an entry point in one of the groups of :data:`GROUPS`. What it returns
needs no base class of ours: it has to satisfy the Protocol of its group, which the loader checks once, by method and
parameter names, before anything is called. A plugin does its work through the :class:`PluginContext` that each call
receives; it opens no file of the repository, starts no program and prints nothing by itself.

Stable from version 1 on: names, parameter names, fields and their meaning. Fields and context methods may be added within
a version; anything else raises :data:`API_VERSION`. Capabilities that only some plugins have are Protocols of their own
(:class:`StoringSource`, :class:`PassphraseProvider`), tested with ``isinstance``, never further parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

from secretsmith.findings import Finding
from secretsmith.manifest import Manifest
from secretsmith.plugin.context import Completed, KeyName, PluginContext, Principal, Readers
from secretsmith.record import field, record
from secretsmith.sensitive import Sensitive

API_VERSION: Final = 1
"""The only value of ``api_version`` that this secretsmith loads."""


# --- every plugin ---------------------------------------------------------------------------------------------------


class Plugin(Protocol):
    """What all plugins have: the API version they were written for, as an ``int`` attribute.

    The plugin's name is the name of its entry point.
    """

    @property
    def api_version(self) -> int:
        """The value of API_VERSION that the plugin was written for."""
        ...


@runtime_checkable
class Inspecting(Protocol):
    """A plugin that can look for trouble of its own kind, without a key and without asking."""

    def findings(self, context: PluginContext) -> Sequence[Finding]:
        """Return what is wrong, for ``build hosts`` and ``check``."""
        ...


# --- secretsmith.builders -------------------------------------------------------------------------------------------


@record
class SecretDeclaration:
    """One secret that a host's configuration names; what people other than the host need to know of it.

    ``file`` is the path in the repository, ``key`` the slash path in it, ``source`` an optional reference such as
    ``pass:web/db``, ``origin`` the place of the declaration for messages (``secretsmith.d/web1.toml:3``, an option path).
    ``owner``, ``group`` and ``mode`` are those of the file on the host, None where nothing is declared; ``units`` are
    restarted or reloaded when it changes.

    With ``live`` the value is no file of the repository, and ``file`` is empty: ``deploy`` fetches it from ``source``, and the
    manifest's secret has that reference as ``live`` and ``id``, and its ``source`` below ``manifest.LIVE_ROOT``.
    """

    name: str
    file: str
    format: str
    origin: str
    key: str | None = None
    source: str | None = None
    owner: str | None = None
    group: str | None = None
    mode: str | None = None
    units: tuple[str, ...] = ()
    live: bool = False


@record
class HostDeclaration:
    """One host that a build system knows, with the secrets its configuration names.

    ``elsewhere`` are the files that it names outside of the repository, as absolute paths: no rule is about them.
    """

    name: str
    origin: str
    secrets: tuple[SecretDeclaration, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def stored(self) -> tuple[SecretDeclaration, ...]:
        """Those whose value is in a file of the repository: all but the live ones."""
        return tuple(secret for secret in self.secrets if not secret.live)


class Builder(Plugin, Protocol):
    """Group ``secretsmith.builders``: a build system that declares secrets for hosts. It never decrypts."""

    def detect(self, context: PluginContext) -> bool:
        """Say whether this repository uses the build system: a look at file names, nothing is evaluated."""
        ...

    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        """Return all hosts, sorted by name, in one evaluation. Raises RefusedInput with file and line."""
        ...

    def manifests(
        self, context: PluginContext, hosts: Sequence[str], source_root: str | None
    ) -> Mapping[str, Manifest]:
        """Return the activation manifest of each host of ``hosts``, in one evaluation.

        ``source_root`` is the absolute folder under which the host finds the repository's files; None: where they are on
        this computer, or where the build system puts them. Raises NotFound for a host that is not declared.
        """
        ...


@runtime_checkable
class Traceable(Protocol):
    """A builder that knows what its declarations are made from, so that its last answer may be used while that is the same."""

    def inputs(self, context: PluginContext) -> Sequence[str]:
        """Return the files of the repository that :meth:`Builder.hosts` depends on, as paths from the root.

        Nothing is evaluated. A file that is new, changed or gone has to show in the paths or in the files themselves.
        """
        ...


# --- secretsmith.sources --------------------------------------------------------------------------------------------


@record
class Fetched:
    """A value from elsewhere, and the ``digest`` under which :meth:`Source.digest` will know it again."""

    value: Sensitive
    digest: str | None


class Source(Plugin, Protocol):
    """Group ``secretsmith.sources``: fetches values; the entry point's name is the scheme, ``pass`` of ``pass:web/db#user``.

    A reference is the text behind the scheme's colon.
    """

    def fetch(self, reference: str, context: PluginContext) -> Fetched:
        """Return the value. Raises NotFound (it names what exists, never a value), CannotDecrypt when locked."""
        ...

    def digest(self, reference: str, context: PluginContext) -> str | None:
        """Return a token that changes when the entry changes, without a passphrase, a program or the network.

        Never computed from plaintext. None: cannot judge here (no such store, no such entry).
        """
        ...


@runtime_checkable
class StoringSource(Protocol):
    """A source that can also be written and listed, for ``import`` and ``export``."""

    def store(self, reference: str, value: Sensitive, context: PluginContext) -> None:
        """Write the value, or raise and leave the store as it was."""
        ...

    def references(self, prefix: str, context: PluginContext) -> Sequence[str]:
        """Return the references that begin with ``prefix``, sorted, without decrypting."""
        ...


# --- secretsmith.identities -----------------------------------------------------------------------------------------


@record
class OfferedIdentity:
    """Private key material: the text of an age identity file or of an OpenSSH private key. ``label`` is shown to people."""

    label: str
    material: Sensitive


class IdentityProvider(Plugin, Protocol):
    """Group ``secretsmith.identities``: another place where private keys come from. Never used by activation."""

    def identities(self, context: PluginContext) -> Iterable[OfferedIdentity]:
        """Yield identities, the cheap ones first; consumed lazily, so ask a person only when reached."""
        ...


@runtime_checkable
class PassphraseProvider(Protocol):
    """An identity provider that knows passphrases of keys which lie elsewhere."""

    def passphrase(self, fingerprint: str, context: PluginContext) -> Sensitive | None:
        """Return the passphrase of the private key with this fingerprint, None when it is not known."""
        ...


# --- secretsmith.generators -----------------------------------------------------------------------------------------


@record
class GeneratorRequest:
    """What to make: ``secret`` is the path it is for, ``inputs`` are values of other secrets and answers to prompts."""

    secret: str
    parameters: Mapping[str, str | int | bool | tuple[str, ...]] = field(default_factory=dict)
    inputs: Mapping[str, Sensitive] = field(default_factory=dict)


@record
class Generated:
    """A new value, its public companions (file suffix → bytes, for instance ``.pub``), and its expiry (YYYY-MM-DD)."""

    value: Sensitive
    public: Mapping[str, bytes] = field(default_factory=dict)
    not_after: str | None = None


class Generator(Plugin, Protocol):
    """Group ``secretsmith.generators``: makes values that no person needs to know."""

    def generate(self, request: GeneratorRequest, context: PluginContext) -> Generated:
        """Make a fresh value. Raises RefusedInput for parameters that are unknown, missing or weak."""
        ...


# --- secretsmith.commands -------------------------------------------------------------------------------------------


class CommandPlugin(Plugin, Protocol):
    """Group ``secretsmith.commands``: ``secretsmith NAME …``. A built-in command's name cannot be taken."""

    def run(self, arguments: Sequence[str], context: PluginContext, write: Callable[[str], None]) -> int:
        """Do the work with the arguments behind the name; ``write`` prints a line on standard output. Returns the exit code."""
        ...


GROUPS: Final[Mapping[str, type]] = {
    "secretsmith.builders": Builder,
    "secretsmith.sources": Source,
    "secretsmith.identities": IdentityProvider,
    "secretsmith.generators": Generator,
    "secretsmith.commands": CommandPlugin,
}
"""Entry-point group → the Protocol that its plugins satisfy."""


__all__ = [
    "API_VERSION",
    "GROUPS",
    "Builder",
    "CommandPlugin",
    "Completed",
    "Fetched",
    "Finding",
    "Generated",
    "Generator",
    "GeneratorRequest",
    "HostDeclaration",
    "IdentityProvider",
    "Inspecting",
    "KeyName",
    "OfferedIdentity",
    "PassphraseProvider",
    "Plugin",
    "PluginContext",
    "Principal",
    "Readers",
    "SecretDeclaration",
    "Source",
    "StoringSource",
    "Traceable",
]
