"""``secretsmith lock --merge``."""

from __future__ import annotations

from secretsmith.cli.arguments.repository import LockParameters
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, NotFound, RefusedInput
from secretsmith.operations.lockmerge import is_registry, merge_files, merge_in_place, merge_registry_files
from secretsmith.project import find_root


def run(session: Session, given: LockParameters) -> ExitCode:
    """Resolve the conflicts in secretsmith.lock, or merge BASE OURS THEIRS into OURS for git: locks or registries."""
    if not given.merge:
        raise RefusedInput(
            Code.USAGE, "lock does nothing without --merge", hints=("secretsmith lock --merge",)
        )
    if given.files:
        return _drive(session, given.files)
    root = find_root(session.cwd, session.environ)
    if root is None:
        raise NotFound(
            Code.NO_REGISTRY,
            f"no repository of secretsmith in {session.cwd} or above",
            hints=("secretsmith lock --merge BASE OURS THEIRS merges three files",),
        )
    done = merge_in_place(root)
    if not done.written:
        session.note(f"{done.path.name}: nothing to resolve")
        return ExitCode.OK
    session.note(f"{done.path.name}: resolved; then: git add {done.path.name}")
    _note_doubtful(session, done.doubtful)
    return ExitCode.OK


def _drive(session: Session, files: tuple[str, ...]) -> ExitCode:
    if len(files) != 3:
        raise RefusedInput(
            Code.USAGE,
            f"lock --merge takes no file or three, not {len(files)}",
            hints=("git config merge.secretsmith-lock.driver 'secretsmith lock --merge %O %A %B'",),
        )
    base, ours, theirs = (session.cwd / name for name in files)
    if is_registry(ours):
        merge_registry_files(base, ours, theirs)
        return ExitCode.OK
    _note_doubtful(session, merge_files(base, ours, theirs).doubtful)
    return ExitCode.OK


def _note_doubtful(session: Session, paths: tuple[str, ...]) -> None:
    if paths:
        session.note(
            f"changed on both sides, so the lock claims nothing of their readers: {', '.join(paths)}"
        )


__all__ = ["run"]
