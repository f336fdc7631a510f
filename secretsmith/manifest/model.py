"""What a manifest holds, as plain frozen data (design: activation manifest, version 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Final

from secretsmith.record import field, record, replace

LIVE_ROOT: Final = "/var/lib/secretsmith/current"
"""Where the tree in use of ``secretsmith deploy`` lies on a host, and live values in it."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Scope(StrEnum):
    """Whose secrets these are: the machine's, or one user's session."""

    SYSTEM = "system"
    USER = "user"


class SourceFormat(StrEnum):
    """What kind of encrypted file a source is."""

    AGE = "age"
    YAML = "yaml"
    JSON = "json"
    DOTENV = "dotenv"
    INI = "ini"
    BINARY = "binary"


class Output(StrEnum):
    """How what lies at a key is written: a value as sops prints it, or as a text of this format."""

    VALUE = "value"
    JSON = "json"
    YAML = "yaml"


class TemplateFormat(StrEnum):
    """What a rendered template must still be valid as."""

    RAW = "raw"
    JSON = "json"
    YAML = "yaml"
    TOML = "toml"
    DOTENV = "dotenv"
    INI = "ini"


class Filter(StrEnum):
    """How a value is quoted when it takes a placeholder's place."""

    RAW = "raw"
    JSON = "json"
    YAML = "yaml"
    TOML = "toml"
    SHELL = "shell"
    ENV = "env"
    URL = "url"
    INI = "ini"
    SYSTEMD = "systemd"


class Method(StrEnum):
    """What is put at a custom path: a link into the live generation, or a copy."""

    LINK = "link"
    COPY = "copy"


class CredentialKey(StrEnum):
    """What systemd-creds encrypts a credential with: the machine's own secret, its TPM, or both."""

    HOST = "host"
    TPM2 = "tpm2"
    BOTH = "host+tpm2"


class Phase(StrEnum):
    """When a secret is needed: before users exist, for services, or in the initial RAM disk."""

    USERS = "users"
    SERVICES = "services"
    INITRD = "initrd"


_SUFFIXES = {Phase.SERVICES: "", Phase.USERS: "-for-users", Phase.INITRD: "-for-initrd"}


@record(kw_only=True)
class ManifestPrincipal:
    """Whose key a fingerprint is, so that a host can name the readers of a file it cannot open."""

    name: str
    ssh_tag: str | None = None
    recipient: str | None = None


@record(kw_only=True)
class ManifestEntry:
    """What a secret and a template have in common. ``path`` is None when it is ``DIRECTORY/NAME``.

    ``credentials`` are ``UNIT:NAME``: the unit is handed the value as its credential of that name.
    """

    name: str
    owner: str = "root"
    group: str = "root"
    mode: str = "0400"
    path: str | None = None
    method: Method = Method.LINK
    phase: Phase = Phase.SERVICES
    required: bool = True
    plaintext_on_disk: bool = False
    restart_units: tuple[str, ...] = ()
    reload_units: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()

    @property
    def mode_bits(self) -> int:
        """The permission bits as a number, for fchmod."""
        return int(self.mode, 8)


def live_path(reference: str) -> str:
    """Return where the value of ``reference`` lies in the tree of a deploy; two secrets of one reference have one file."""
    return f"live/{sha256(reference.encode()).hexdigest()[:32]}.age"


@record(kw_only=True)
class ManifestSecret(ManifestEntry):
    """One value and where it goes. ``readers`` is None when the builder did not say; ``id`` defaults to the name.

    ``live`` is the reference that ``secretsmith deploy`` fetches the value from, None where it is a file of the repository.
    """

    source: str
    format: SourceFormat
    id: str = ""
    key: str | None = None
    output: Output = Output.VALUE
    readers: tuple[str, ...] | None = None
    max_stale: str | None = None
    live: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", self.name)

    @property
    def max_stale_seconds(self) -> int | None:
        """How long a last good value may be kept, or None for any time."""
        return None if self.max_stale is None else int(self.max_stale[:-1]) * _SECONDS[self.max_stale[-1]]


@record(kw_only=True)
class Placeholder:
    """Which secret's value replaces a text, and how it is quoted."""

    secret: str
    filter: Filter = Filter.RAW


@record(kw_only=True)
class ManifestTemplate(ManifestEntry):
    """A file made of a text and the values of secrets."""

    content: str
    format: TemplateFormat = TemplateFormat.RAW
    placeholders: Mapping[str, Placeholder] = field(default_factory=dict)


@record(kw_only=True)
class Manifest:
    """A whole manifest. ``directory`` is the link that services read through, ``generations`` the folder behind it.

    With ``credential_key`` credentials are kept on the disk, encrypted with that key of the machine.
    """

    host: str
    directory: str
    generations: str
    identities: tuple[str, ...]
    secrets: tuple[ManifestSecret, ...]
    scope: Scope = Scope.SYSTEM
    keep: int = 2
    host_key: str | None = None
    principals: Mapping[str, ManifestPrincipal] = field(default_factory=dict)
    templates: tuple[ManifestTemplate, ...] = ()
    credential_key: CredentialKey | None = None

    def for_phase(self, phase: Phase) -> Manifest:
        """Return what this manifest says for one phase, which has a place of its own.

        Templates may name secrets of another phase, which are not in the result: look for those in the whole manifest.
        """
        below = self.directory + _SUFFIXES[phase]
        beside = self.generations + _SUFFIXES[phase]
        return replace(
            self,
            directory=below,
            generations=f"{below}.d" if self.generations == f"{self.directory}.d" else beside,
            secrets=tuple(secret for secret in self.secrets if secret.phase is phase),
            templates=tuple(template for template in self.templates if template.phase is phase),
        )

    def place_of(self, entry: ManifestEntry) -> str:
        """Return where ``entry`` is read through the live link; a custom path points there."""
        return f"{self.directory}/{entry.name}"

    def entries(self) -> Iterator[ManifestEntry]:
        """All secrets, then all templates."""
        yield from self.secrets
        yield from self.templates
