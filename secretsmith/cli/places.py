"""From the words of a command line to places: PATH words to files and folders, a SECRET to its repository, or to none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from secretsmith.cli.session import Session
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.operations.locate import find_file, locate_secret

if TYPE_CHECKING:
    from secretsmith.project import Project

_EXPLICIT = ("./", "../", "/")  # only a path from here, whatever the repository holds


def located(session: Session, project: Project, words: Sequence[str]) -> tuple[str, ...]:
    """Return each word as a path relative to the root: a folder from here, from the root or below the secrets, or a secret.

    Raises:
        NotFound: neither a folder nor a secret.
        RefusedInput: ambiguous, or outside of the repository.
    """
    return tuple(_located(session, project, word) for word in words)


def project_here(session: Session) -> Project | None:
    """Return the project around the current folder, None when there is none. Raises ``RefusedInput`` when it is broken."""
    try:
        return session.project()
    except NotFound as error:
        if error.code is not Code.NO_REGISTRY:
            raise
        return None


def in_repository(session: Session, secret: str, *, creating: bool = False) -> Project | None:
    """Return the project that the word ``secret`` belongs to; None when it names a file that is only a file.

    A file that lies outside of the repository is only a file, whatever repository this is, and so is every file where
    there is no repository. What names no file from here is looked for in the repository. ``creating``: it need not
    exist yet, and without a repository is a new file.

    Raises:
        NotFound: NO_REGISTRY, neither a file nor a repository to look in.
        RefusedInput: the registry or lock is not valid.
    """
    file = find_file(secret, cwd=session.cwd)
    if file is None and creating and secret.startswith(_EXPLICIT):
        file = session.cwd / secret
    project = project_here(session)
    if project is None and file is None and not creating:
        raise _nothing(session, secret)
    if project is not None and file is not None and project.root.resolve() not in file.resolve().parents:
        return None
    return project


def _nothing(session: Session, secret: str) -> NotFound:
    try:
        session.project()
    except NotFound as error:
        return NotFound(error.code, f"no file {secret} here, and {error.message}", hints=error.hints)
    raise AssertionError("there is a project")  # only called without one


def existing_file(session: Session, word: str) -> Path:
    """Return the file that ``word`` names from here, or else in the repository.

    Raises:
        NotFound: there is none.
        RefusedInput: AMBIGUOUS, with the candidates.
    """
    project = in_repository(session, word)
    if project is None:
        return session.cwd / word
    return project.root / locate_secret(project, word, cwd=session.cwd)


def _located(session: Session, project: Project, word: str) -> str:
    places = [session.cwd / word]
    if not word.startswith(_EXPLICIT):
        places += [project.root / word, project.root / project.registry.secrets / word]
    for place in places if word else ():
        if os.path.isdir(place):
            relative = os.path.relpath(os.path.realpath(place), os.path.realpath(project.root))
            if relative == ".." or relative.startswith("../"):
                raise RefusedInput(Code.USAGE, f"{word}: outside of the repository {project.root}")
            return relative
    return locate_secret(project, word, cwd=session.cwd)


__all__ = ["existing_file", "in_repository", "located", "project_here"]
