"""The repository as plugins see it: the one implementation of :class:`secretsmith.plugin.api.PluginContext`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from secretsmith.crypto.publickey import KeyKind, PublicKey, parse_public_key
from secretsmith.documents.format import Format
from secretsmith.documents.seal import open_value, seal_value
from secretsmith.errors import CannotDecrypt, Code, NotFound, RefusedInput
from secretsmith.identities.ring import LOCKED_NO_TERMINAL, IdentityRing
from secretsmith.interaction import Interaction
from secretsmith.operations.readers import quick_drift
from secretsmith.operations.show import show_secret
from secretsmith.plugin.api import Completed, KeyName, Principal, Readers
from secretsmith.plugin.process import run_program
from secretsmith.policy import principals as registered
from secretsmith.policy.resolve import wanted_readers
from secretsmith.project import Project
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import read_file
from secretsmith.store.paths import safe_relative
from secretsmith.store.scratch import scratch_folder
from secretsmith.store.userfile import replace_user_file

MAX_PLUGIN_FILE = 16 * 1024 * 1024
_WITH_AGE_FORM = (KeyKind.ED25519, KeyKind.X25519)


class RepositoryContext:
    """Gives a plugin the project, read-only. What a method may raise stands in the Protocol."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @property
    def root(self) -> Path:
        """The folder of the registry."""
        return self._project.root

    @property
    def environ(self) -> Mapping[str, str]:
        """The command's environment."""
        return self._project.environ

    @property
    def interaction(self) -> Interaction:
        """How to ask a person."""
        return self._project.interaction

    def list_files(self, folder: str) -> tuple[str, ...]:
        """Return the regular files directly in ``folder``; no symlink is followed."""
        # As the path of a file in it: then the folder itself must not be a symlink either.
        inside = "" if folder in ("", ".") else safe_relative(self.root, f"{folder}/x")[:-1]
        try:
            with os.scandir(self.root / inside) as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return ()
        except PermissionError:
            raise RefusedInput(Code.ACCESS, f"{folder}: not readable", path=folder) from None
        return tuple(sorted(inside + name for name in names))

    def read_file(self, path: str) -> bytes:
        """Return the bytes of a file of at most 16 MiB."""
        return read_file(self.root / safe_relative(self.root, path), MAX_PLUGIN_FILE)

    def principals(self) -> tuple[Principal, ...]:
        """Return users and hosts without their key texts."""
        return tuple(_principal(who) for who in self._project.registry.everyone())

    def key(self, fingerprint: str) -> KeyName | None:
        """Return whose key this is; an active use wins over a former one."""
        uses = self._project.registry.key_owner(fingerprint)
        if not uses:
            return None
        use = uses[0]
        return KeyName(fingerprint, use.principal, use.key.tag, _age_form(use.key), use.state.value)

    def readers(self, path: str) -> Readers:
        """Return who may read the file and, if it is there, who can."""
        inside = safe_relative(self.root, path)
        wanted = wanted_readers(self._project.registry, inside)
        try:
            present: tuple[str, ...] | None = tuple(sorted(quick_drift(self._project, inside).present.keys))
        except (NotFound, RefusedInput):
            # Not there, or nothing that this version can read: what is wrong with the file is for `check` to say.
            present = None
        return Readers(None if wanted is None else tuple(sorted(wanted.keys)), present)

    def open_age(self, data: bytes) -> Sensitive:
        """Decrypt an age file with the identities of whoever runs the command."""
        return open_value(Format.AGE, data, self._project.ring.for_data(data))

    def open_age_with(self, data: bytes, identity_file: Path) -> Sensitive:
        """Decrypt an age file with the keys of one file."""
        ring = self._ring_of(identity_file)
        try:
            return open_value(Format.AGE, data, ring.for_data(data))
        except CannotDecrypt as error:
            if any(tried.outcome.startswith(LOCKED_NO_TERMINAL) for tried in ring.trace()):
                message = f"{identity_file} is locked, and there is no terminal to ask for its passphrase"
                raise CannotDecrypt(Code.PASSPHRASE, message) from None
            # What to do about a file of the repository is no help with one of elsewhere.
            raise CannotDecrypt(error.code, error.message) from None

    def seal_age(self, value: Sensitive, recipients: Sequence[str]) -> bytes:
        """Encrypt to public key lines."""
        # Parsed first: pyrage takes the first of two lines and says nothing of the second.
        texts = [parse_public_key(line).text for line in recipients]
        return seal_value(Format.AGE, value, texts, armor=False, interaction=self.interaction)

    def age_recipients(self, identity_file: Path) -> tuple[str, ...]:
        """Return the public halves of the keys in a file."""
        return tuple(key.text for key in self._ring_of(identity_file).own_keys())

    def _ring_of(self, identity_file: Path) -> IdentityRing:
        rings = self._project.rings
        if identity_file not in rings:
            rings[identity_file] = IdentityRing.of_files([identity_file], self.interaction)
        return rings[identity_file]

    def write_user_file(self, path: Path, data: bytes) -> None:
        """Replace a file outside of the repository."""
        replace_user_file(path, data)

    def read_secret(self, path: str, key: str | None = None) -> Sensitive:
        """Decrypt a secret of the repository."""
        return show_secret(self._project, safe_relative(self.root, path), key)

    def scratch(self) -> AbstractContextManager[Path]:
        """Give a folder on a tmpfs."""
        return scratch_folder()

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: Sensitive | None = None,
        timeout: float = 60.0,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> Completed:
        """Run a program."""
        return run_program(
            argv,
            stdin=stdin,
            timeout=timeout,
            environ={**self.environ, **(environ or {})},
            folder=folder or self.root,
        )


def _principal(who: registered.Principal) -> Principal:
    uses = registered.key_uses(who)
    active = tuple(use.key.fingerprint for use in uses if use.state is registered.KeyState.ACTIVE)
    former = tuple(use.key.fingerprint for use in uses if use.state is not registered.KeyState.ACTIVE)
    if isinstance(who, registered.Host):
        return Principal(who.name, "host", who.status.value, active, former, who.address)
    return Principal(who.name, "user", who.status.value, active, former)


def _age_form(key: PublicKey) -> str | None:
    return key.derived if key.kind in _WITH_AGE_FORM else None


__all__ = ["RepositoryContext"]
