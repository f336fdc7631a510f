"""The sources of one run: what an entry's digest is now, and its value, each asked for once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from secretsmith.errors import CannotDecrypt, Code, RefusedInput, SecretsmithError
from secretsmith.interaction import NoInteraction
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.plugin.api import Completed, Fetched
from secretsmith.plugin.loader import Loader
from secretsmith.policy.words import shown
from secretsmith.project import MAX_SECRET_BYTES, Project
from secretsmith.record import record
from secretsmith.sensitive import Sensitive

_REFERENCE: Final = re.compile(r"([a-z][a-z0-9-]{0,31}):(.{1,1024})\Z")
_DIGEST: Final = re.compile(r"[!-~]{1,200}\Z")


@record
class Look:
    """What is known of an entry without its value: ``digest``, or None and ``why`` nobody can judge here."""

    digest: str | None
    why: str = ""


class Sources:
    """The sources that references name, loaded when one does."""

    def __init__(self, project: Project, loader: Loader | None = None) -> None:
        self._project = project
        self._loader = loader or Loader()
        self._looks: dict[str, Look] = {}
        self._fetched: dict[str, Fetched] = {}
        self._failed: dict[str, SecretsmithError] = {}
        self._left: dict[str, SecretsmithError] = {}  # scheme → the last prompt that was not answered
        self._stopped: set[str] = set()

    def look(self, reference: str) -> Look:
        """Return the digest of an entry as it is now; starts no program, asks nobody, and raises nothing for a plugin's sake."""
        if reference not in self._looks:
            self._looks[reference] = self._look(reference)
        return self._looks[reference]

    def _look(self, reference: str) -> Look:
        try:
            scheme, name = parse_reference(reference)
            loaded = self._loader.source(scheme)
            with loaded.guard():
                digest = loaded.plugin.digest(name, _Looking(self._project))
        except SecretsmithError as error:
            return Look(None, error.message)
        if digest is None:
            return Look(None, f"this computer has no such entry in {scheme}")
        if not _is_digest(digest):
            return Look(None, f"{loaded.entry.title} gives a digest that is none")
        return Look(digest)

    def fetch(self, reference: str) -> Fetched:
        """Return the value of an entry. After one could not be unlocked, a person is asked before the next of this source.

        Raises:
            NotFound: PLUGIN_MISSING, or no such entry.
            CannotDecrypt: the source is locked, or the person does not want to go on with it.
            SecretsmithError: PLUGIN_FAILED, TOO_BIG; what else the source says.
        """
        scheme, name = parse_reference(reference)
        if reference in self._failed:
            raise self._failed[reference]
        if reference not in self._fetched:
            self._go_on(scheme, reference)
            try:
                loaded = self._loader.source(scheme)
                with loaded.guard():
                    fetched = loaded.plugin.fetch(name, RepositoryContext(self._project))
                self._fetched[reference] = _checked(fetched, reference, loaded.entry.title)
            except SecretsmithError as error:
                self._failed[reference] = error
                if error.code is Code.PASSPHRASE:
                    self._left[scheme] = error
                raise
        return self._fetched[reference]

    def _go_on(self, scheme: str, reference: str) -> None:
        """Ask, where there is somebody: who left one prompt would get one for each entry. Other entries may be for other keys."""
        left, person = self._left.get(scheme), self._project.interaction
        if left is None or not person.available:
            return
        question = f"{left.message}; try the other entries?"
        if scheme not in self._stopped and person.confirm(question, flag="unlocking it before"):
            del self._left[scheme]
            return
        self._stopped.add(scheme)
        raise CannotDecrypt(Code.PASSPHRASE, f"{reference}: not tried after that", hints=left.hints)


class _Looking(RepositoryContext):
    """The repository for a look at digests: a check in a hook or in CI starts nothing and asks nobody."""

    def __init__(self, project: Project) -> None:
        super().__init__(project.changed(interaction=NoInteraction()))

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: Sensitive | None = None,
        timeout: float = 60.0,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> Completed:
        """Refuse."""
        _refuse_program()


def _refuse_program() -> NoReturn:
    raise SecretsmithError(Code.PLUGIN_FAILED, "the source wants to start a program to look at an entry")


def parse_reference(text: str) -> tuple[str, str]:
    """Return the scheme of a reference and what stands behind its colon.

    Raises:
        RefusedInput: USAGE, it is none, or has characters that a line of the lock cannot hold.
    """
    match = _REFERENCE.match(text)
    if match is None or not text.isprintable():
        raise RefusedInput(
            Code.USAGE,
            f"{shown(text)} is no reference to a value elsewhere",
            hints=(
                "write SCHEME:NAME, for instance pass:web/db",
                "secretsmith plugins list shows the schemes",
            ),
        )
    return match[1], match[2]


def _is_digest(given: object) -> bool:
    return isinstance(given, str) and _DIGEST.match(given) is not None


def _checked(fetched: Fetched, reference: str, title: str) -> Fetched:
    given: object = fetched  # what a plugin gives is what its author says only if they run a type checker
    if not isinstance(given, Fetched) or type(given.value) is not Sensitive:
        raise SecretsmithError(Code.PLUGIN_FAILED, f"{title} gives something else than a value")
    if fetched.digest is not None and not _is_digest(fetched.digest):
        raise SecretsmithError(Code.PLUGIN_FAILED, f"{title} gives a digest that is none")
    if len(fetched.value) > MAX_SECRET_BYTES:
        raise RefusedInput(Code.TOO_BIG, f"{reference}: larger than {MAX_SECRET_BYTES >> 20} MiB")
    return fetched


__all__ = ["Look", "Sources", "parse_reference"]
