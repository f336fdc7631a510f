"""What a plugin is told of a repository, and the context that it works through. Plugins import it from ``plugin.api``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol

from secretsmith.interaction import Interaction
from secretsmith.record import record
from secretsmith.sensitive import Sensitive


@record
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


@record
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


@record
class Readers:
    """Fingerprints of the readers of one file.

    ``wanted`` is what the rules of the registry say, None when no rule matches; ``present`` what the lock knows of the
    file as it is on the disk now, None when it knows nothing.
    """

    wanted: tuple[str, ...] | None
    present: tuple[str, ...] | None


@record
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

    def open_age_with(self, data: bytes, identity_file: Path) -> Sensitive:
        """Decrypt an age file with the keys of one file of the person's; asks once a run for its passphrase.

        Raises as ``open_age``; NO_IDENTITY also when the file is absent or holds no key, PASSPHRASE when it is locked.
        """
        ...

    def seal_age(self, value: Sensitive, recipients: Sequence[str]) -> bytes:
        """Encrypt to public key lines, as a binary age file for a store elsewhere. Raises RefusedInput for a bad line."""
        ...

    def age_recipients(self, identity_file: Path) -> tuple[str, ...]:
        """Return the public halves of the keys in a file; () when it is absent, or under a passphrase."""
        ...

    def write_user_file(self, path: Path, data: bytes) -> None:
        """Replace a file of the person's outside of the repository, atomically; a new one gets mode 0600, its folder 0700.

        For what an ``export`` was asked to write; never plaintext. Raises SecretsmithError (NOSPC, ACCESS, IO).
        """
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


__all__ = ["Completed", "KeyName", "PluginContext", "Principal", "Readers"]
