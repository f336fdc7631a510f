"""``secretsmith access``: who can read what, and who gained and lost what; needs no key."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from secretsmith.cli.arguments.access import AccessParameters
from secretsmith.cli.places import located
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, NotFound, RefusedInput
from secretsmith.operations.access import (
    Access,
    Question,
    access,
    as_rows,
    paths_below,
    principals_named,
    similar_principals,
)
from secretsmith.project import Project
from secretsmith.record import record, replace

if TYPE_CHECKING:
    from secretsmith.operations.accessdiff import AccessDiff, Change


@record
class _Subjects:
    """What the words of a command line mean. ``files``: every one of them is one secret, to be told of in detail."""

    question: Question
    files: bool = False


def run(session: Session, given: AccessParameters) -> ExitCode:
    """Print a table, the details of the secrets that were named, JSON or Markdown; always exit 0."""
    if given.json and given.markdown:
        raise RefusedInput(Code.USAGE, "--json and --markdown do not go together")
    if given.diff is not None:
        return _diff(session, given, given.diff)
    project = session.project()
    asked = _subjects(session, project, given.subjects)
    found = access(project, asked.question, keys=given.json or given.keys)
    if given.json:
        unread = [{"path": one.path, "why": one.problem} for one in found if one.problem]
        session.json({"secrets": as_rows(found), "unreadable": unread})
    else:
        _show(session, project, given, asked, found)
    for one in found:
        if one.problem:
            session.note(f"note: {one.path}: {one.problem}")
    return ExitCode.OK


def _show(
    session: Session, project: Project, given: AccessParameters, asked: _Subjects, found: tuple[Access, ...]
) -> None:
    # Here, not above: JSON needs none of it.
    from secretsmith.cli.accesstext import detail_lines, table_markdown, table_rows, write_table

    names = asked.question.names
    rows = list(table_rows(project, found, keys=given.keys, names=names))
    if given.markdown:
        for line in table_markdown(rows):
            session.write(f"{line}\n".encode("utf-8", "backslashreplace"))
    elif asked.files and names is None and not given.keys:
        for one in found:
            for line in detail_lines(project, one):
                session.line(line)
    elif not rows:
        who = "nobody" if names is None else ", ".join(sorted(names))
        session.note(f"{who} can read none of them" if names else "no secrets yet: secretsmith set PATH")
    elif names is not None and len(names) == 1:
        _show_one(session, found, next(iter(names)), keys=given.keys)
    else:
        write_table(session, ("SECRET", "BASIS", "READERS"), rows)


def _show_one(session: Session, found: Iterable[Access], name: str, *, keys: bool) -> None:
    from secretsmith.cli.accesstext import why_text, write_table

    rows: list[tuple[str, str, str]] = []
    for one in found:
        for reader in one.readers:
            if reader.name == name:
                listed = one.keys if keys and one.keys is not None else (None,)
                paths = (one.path if key is None else f"{one.path} {key}" for key in listed)
                rows.extend((path, one.basis, why_text(reader)) for path in paths)
    write_table(session, ("SECRET", "BASIS", "WHY"), rows)
    count = len({row[0] for row in rows})
    session.note(
        f"{name} can read {count} secret{'' if count == 1 else 's'}; with git history: "
        f"secretsmith blast-radius {name}"
    )


def _subjects(session: Session, project: Project, words: tuple[str, ...]) -> _Subjects:
    names: set[str] = set()
    places: list[str] = []
    for word in words:
        members = principals_named(project.registry, word)
        if members is not None:
            names |= members
            _note_secret(session, project, word)
        elif word.startswith("@"):
            raise NotFound(
                Code.NOT_FOUND, f"no group is called {word[1:]}", hints=("secretsmith group list",)
            )
        else:
            places += _place(session, project, word)
    files = bool(places) and all((project.root / place).is_file() for place in places)
    paths = paths_below(project, places) if places else None
    if files and paths is not None:
        paths = tuple(sorted({*paths, *places}))  # what was named is told of, whatever it is
    return _Subjects(Question(paths, frozenset(names) if names else None), files)


def _place(session: Session, project: Project, word: str) -> tuple[str, ...]:
    try:
        return located(session, project, (word,))
    except NotFound as error:
        raise NotFound(
            error.code,
            f"{word} is no user, host, group or secret",
            hints=(*similar_principals(project.registry, word), *error.hints),
        ) from None


def _note_secret(session: Session, project: Project, word: str) -> None:
    """Say so when a word that names somebody would also name a secret."""
    if word.startswith("@"):
        return
    try:
        place = located(session, project, (word,))[0]
    except (NotFound, RefusedInput):
        return
    session.note(
        f"note: {word} is taken for the name of somebody; for the secret: secretsmith access ./"
        f"{os.path.relpath(project.root / place, session.cwd)}"
    )


def _diff(session: Session, given: AccessParameters, revisions: str) -> ExitCode:
    # Here, not above: git and what reads its history are for this alone.
    from secretsmith.cli.accesstext import diff_lines, diff_markdown, summary
    from secretsmith.operations.accessdiff import access_diff, as_json

    project = session.project()
    found = _of_subjects(session, project, given.subjects, access_diff(project, revisions))
    if given.json:
        session.json(as_json(found))
        return ExitCode.OK
    if given.markdown:
        after = "work tree" if found.after is None else found.after[:10]
        for line in diff_markdown(project, found, found.before[:10], after):
            session.write(f"{line}\n".encode("utf-8", "backslashreplace"))
        return ExitCode.OK
    for line in diff_lines(project, found):
        session.line(line)
    for note in found.notes:
        session.note(f"note: {note}")
    session.note(summary(found))
    return ExitCode.OK


def _of_subjects(session: Session, project: Project, words: tuple[str, ...], found: AccessDiff) -> AccessDiff:
    """Keep the changes that concern what was named. Places need not exist any more."""
    if not words:
        return found
    names: set[str] = set()
    places: set[str] = set()
    for word in words:
        members = principals_named(project.registry, word)
        if members is None:
            below = f"{project.registry.secrets}/{word}"
            here = os.path.relpath(session.cwd / word, project.root)
            places |= {place.rstrip("/") for at in (word, below, here) for place in (at, f"{at}.age")}
        else:
            names |= members

    def concerns(change: Change) -> bool:
        who = {name for gain in (*change.gained, *change.lost) for name in gain.names}
        at = not places or any(
            change.path == place or change.path.startswith(f"{place}/") for place in places
        )
        return at and (not names or bool(names & who))

    moved = tuple(pair for pair in found.moved if not names and places.intersection(pair))
    return replace(found, changes=tuple(change for change in found.changes if concerns(change)), moved=moved)


__all__ = ["run"]
