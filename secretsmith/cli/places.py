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

    A file belongs to the repository that it lies in, also when that is not the one around the current folder: its registry
    knows whom the file may be encrypted to, wherever the person stands. In no repository it is only a file. What names no
    file from here is looked for in the repository here. ``creating``: it need not exist yet.

    Raises:
        NotFound: NO_REGISTRY, neither a file nor a repository to look in.
        RefusedInput: the registry or lock is not valid.
    """
    file = find_file(secret, cwd=session.cwd)
    project = project_here(session)
    if file is None and creating and (project is None or secret.startswith(_EXPLICIT)):
        file = session.cwd / secret
    if file is not None:
        return project_around(session, file)
    if project is None:
        raise _nothing(session, secret)
    return project


def project_around(session: Session, file: Path) -> Project | None:
    """Return the project that ``file`` lies in, there or to be there; None when it lies in none.

    Raises:
        RefusedInput: the registry or lock is not valid.
    """
    parents = Path(os.path.realpath(file)).parents  # Path.resolve() fails at a loop of links
    project = project_here(session)
    if project is not None and project.root.resolve() in parents:
        return project
    # Here, not above, as in session.py: not for those without a project.
    from secretsmith.project import find_root, open_project

    # Its folder as it was named, if that is the way there: paths are shown, and looked for, as they were typed.
    for folder in (Path(os.path.normpath(file)).parent, parents[0]):
        root = find_root(folder, {})
        if root is not None and root.resolve() in parents:
            environ = {name: text for name, text in session.environ.items() if name != "SECRETSMITH_ROOT"}
            return open_project(root, environ=environ, interaction=session.interaction)
    return None


def _nothing(session: Session, secret: str) -> NotFound:
    try:
        session.project()
    except NotFound as error:
        if secret and os.path.isdir(session.cwd / secret):
            return NotFound(Code.NOT_FOUND, f"{secret} is a folder", hints=("name a file in it",))
        return NotFound(
            error.code, f"no file {secret or repr(secret)} here, and {error.message}", hints=error.hints
        )
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


__all__ = ["existing_file", "in_repository", "located", "project_around", "project_here"]
