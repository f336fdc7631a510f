"""What an activation did, as data and as lines for people; printing is the door's business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from secretsmith.activation.plan import Decision, State
from secretsmith.activation.units.changes import NO_CHANGES, UnitChanges
from secretsmith.errors import CannotDecrypt, ExitCode, IntegrityFailure, NotFound, SecretsmithError
from secretsmith.manifest import Manifest, Phase
from secretsmith.record import record

# The worst news first: a host that cannot decrypt explains most of what else went wrong.
_RANKED = (
    (CannotDecrypt, ExitCode.CANNOT_DECRYPT),
    (IntegrityFailure, ExitCode.INTEGRITY),
    (NotFound, ExitCode.NOT_FOUND),
)


@record
class Problem:
    """What went wrong with one secret, or (``name`` None) with the host as a whole. Not ``required``: only said."""

    error: SecretsmithError
    name: str | None = None
    required: bool = True
    kept: bool = False


@record
class Report:
    """The outcome of one phase, whose manifest is ``manifest``. ``nothing_done`` means that the input was the same as last time.

    ``units`` are still to be told of what changed; ``sealed`` and ``unsealed`` are credentials (``UNIT:NAME``) that were encrypted
    for the disk, and removed from it. A ``preview`` did nothing and says what would be done.
    """

    manifest: Manifest
    phase: Phase
    generation: int | None
    decisions: Sequence[Decision] = ()
    removed: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    nothing_done: bool = False
    unchanged: int = 0
    units: UnitChanges = NO_CHANGES
    sealed: tuple[str, ...] = ()
    unsealed: tuple[str, ...] = ()
    preview: bool = False

    @property
    def host(self) -> str:
        """The host's name in the registry."""
        return self.manifest.host

    @property
    def exit_code(self) -> ExitCode:
        """OK; 5 if something required cannot be decrypted, else 6 if it is damaged, else 4 if it is missing, else 1."""
        errors = [problem.error for problem in self.problems if problem.required]
        for kind, code in _RANKED:
            if any(isinstance(error, kind) for error in errors):
                return code
        return ExitCode.ERROR if errors else ExitCode.OK

    def errors(self) -> Iterator[SecretsmithError]:
        """Give what went wrong with required secrets and with the host, each naming host and secret."""
        for problem in self.problems:
            if problem.required:
                yield self._named(problem)

    def remarks(self) -> Iterator[str]:
        """Give what is worth a line but no failure."""
        yield from self.notes
        for problem in self.problems:
            if not problem.required:
                yield f"{self._named(problem).message} (not required)"

    def _named(self, problem: Problem) -> SecretsmithError:
        error = problem.error
        if problem.name is None:
            return error
        kept = "; its last good value stays (stale)" if problem.kept else ""
        return type(error)(
            error.code,
            f"{self.host}: {problem.name}: {error.message}{kept}",
            hints=error.hints,
            path=error.path,
        )

    def summary(self) -> str:
        """Say in one line what changed: ``web1: generation 3: +2 new, 1 changed, 4 unchanged, 1 removed``."""
        where = "no generation" if self.generation is None else f"generation {self.generation}"
        who = self.host if self.phase is Phase.SERVICES else f"{self.host}: {self.phase}"
        if self.nothing_done:
            return f"{who}: {where}: nothing to do, {self.unchanged} unchanged"
        fresh = [decision for decision in self.decisions if decision.state is State.FRESH]
        new = sum(not decision.known for decision in fresh)
        parts = [
            f"+{new} new",
            f"{len(fresh) - new} changed",
            f"{self._count(State.UNCHANGED)} unchanged",
            f"{len(self.removed)} removed",
        ]
        parts += [
            f"{self._count(s)} {s}" for s in (State.STALE, State.MISSING, State.REFUSED) if self._count(s)
        ]
        return f"{who}: {'dry run: ' if self.preview else ''}{where}: {', '.join(parts)}"

    def _count(self, state: State) -> int:
        return sum(decision.state is state for decision in self.decisions)


__all__ = ["Problem", "Report"]
