"""What a plugin author imports: five small Protocols, their data, and the context that gives access to the repository.

A plugin is a factory without parameters, named by an entry point in one of the groups of :data:`GROUPS`. What it returns
needs no base class of ours: it has to satisfy the Protocol of its group, which the loader checks once, by method and
parameter names, before anything is called. A plugin does its work through the :class:`PluginContext` that each call
receives; it opens no file, starts no program and prints nothing by itself.

Stable from version 1 on: names, parameter names, fields and their meaning. Fields and context methods may be added within
a version; anything else raises :data:`API_VERSION`. Capabilities that only some plugins have are Protocols of their own
(:class:`StoringSource`, :class:`PassphraseProvider`), tested with ``isinstance``, never further parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol, runtime_checkable

from secretsmith.findings import Finding
from secretsmith.interaction import Interaction
from secretsmith.manifest import Manifest
from secretsmith.sensitive import Sensitive

API_VERSION: Final = 1
"""The only value of ``api_version`` that this secretsmith loads."""


# --- what a plugin is told ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Principal:
    """A user or host of the registry, its keys as fingerprints.

    ``keys`` read for it now (none when it is pending, retired or removed); ``former`` did once.
    """

    name: str
    kind: Literal["user", "host"]
    status: str
    keys: tuple[str, ...]
    former: tuple[str, ...] = ()
    address: str | None = None


@dataclass(frozen=True, slots=True)
class KeyName:
    """Whose key a fingerprint is, in every form in which the key shows up in a file.

    ``ssh_tag`` is the four-byte tag of age's ssh stanzas (base64), ``recipient`` the ``age1…`` form; each is None for a
    key that has no such form. ``state`` is "active", "retired", "compromised" or "removed".
    """

    fingerprint: str
    principal: str
    ssh_tag: str | None
    recipient: str | None
    state: str


@dataclass(frozen=True, slots=True)
class Readers:
    """Fingerprints of the readers of one file.

    ``wanted`` is what the rules of the registry say, None when no rule matches; ``present`` what the lock knows of the
    file as it is on the disk now, None when it knows nothing.
    """

    wanted: tuple[str, ...] | None
    present: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended: exit status, standard output (possibly a value), standard error as text."""

    status: int
    output: Sensitive
    errors: str


class PluginContext(Protocol):
    """The repository as a plugin sees it. Paths are relative to ``root``, with ``/``; all refuse ``..`` and symlinks."""

    @property
    def root(self) -> Path:
        """The absolute folder of ``secretsmith.toml``."""
        ...

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of the command."""
        ...

    @property
    def interaction(self) -> Interaction:
        """How to ask a person; refuses without a terminal."""
        ...

    def list_files(self, folder: str) -> tuple[str, ...]:
        """Return the regular files directly in ``folder``, sorted, as paths from the root; () when there is no folder.

        Raises RefusedInput when it is a symlink or a file.
        """
        ...

    def read_file(self, path: str) -> bytes:
        """Return the bytes of a file of the repository. Raises NotFound or RefusedInput (symlink, no file, too big)."""
        ...

    def principals(self) -> tuple[Principal, ...]:
        """Return every user and host of the registry, in its order."""
        ...

    def key(self, fingerprint: str) -> KeyName | None:
        """Return whose key this is, retired ones included; None for a key that the registry never named."""
        ...

    def readers(self, path: str) -> Readers:
        """Return the wanted and present readers of a secret file. Needs no key."""
        ...

    def open_age(self, data: bytes) -> Sensitive:
        """Decrypt an age file (binary or armored) from anywhere. Raises CannotDecrypt, IntegrityFailure, RefusedInput."""
        ...

    def read_secret(self, path: str, key: str | None = None) -> Sensitive:
        """Decrypt a secret of the repository, or the value at ``key`` (a slash path) in it. Raises as ``open_age``."""
        ...

    def scratch(self) -> AbstractContextManager[Path]:
        """Give a private folder in memory that is removed at the end. Raises when there is no tmpfs."""
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: Sensitive | None = None,
        timeout: float = 60.0,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> Completed:
        """Run a program without a shell, in ``folder`` (default: the root), ``environ`` added to the command's own.

        Values go through ``stdin``, never through argv. A status other than 0 is returned, not raised; raises NotFound when
        there is no such program, SecretsmithError (PLUGIN_TIMEOUT) when it was stopped after ``timeout`` seconds.
        """
        ...


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


@dataclass(frozen=True, slots=True)
class SecretDeclaration:
    """One secret that a host's configuration names; what people other than the host need to know of it.

    ``file`` is the path in the repository, ``key`` the slash path in it, ``source`` an optional reference such as
    ``pass:web/db``, ``origin`` the place of the declaration for messages (``secretsmith.d/web1.toml:3``, an option path).
    ``owner``, ``group`` and ``mode`` are those of the file on the host, None where nothing is declared; ``units`` are
    restarted or reloaded when it changes.
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


@dataclass(frozen=True, slots=True)
class HostDeclaration:
    """One host that a build system knows, with the secrets its configuration names."""

    name: str
    origin: str
    secrets: tuple[SecretDeclaration, ...] = ()


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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class GeneratorRequest:
    """What to make: ``secret`` is the path it is for, ``inputs`` are values of other secrets and answers to prompts."""

    secret: str
    parameters: Mapping[str, str | int | bool | tuple[str, ...]] = field(default_factory=dict)
    inputs: Mapping[str, Sensitive] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
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
