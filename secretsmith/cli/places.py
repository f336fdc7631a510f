"""From the PATH words of `rekey` and `check` to files and folders of the repository."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from secretsmith.cli.session import Session
from secretsmith.errors import Code, RefusedInput
from secretsmith.operations.locate import locate_secret

if TYPE_CHECKING:
    from secretsmith.project import Project


def located(session: Session, project: Project, words: Sequence[str]) -> tuple[str, ...]:
    """Return each word as a path relative to the root: a folder from here, from the root or below the secrets, or a secret.

    Raises:
        NotFound: neither a folder nor a secret.
        RefusedInput: ambiguous, or outside of the repository.
    """
    return tuple(_located(session, project, word) for word in words)


def _located(session: Session, project: Project, word: str) -> str:
    places = [session.cwd / word]
    if not word.startswith(("./", "../", "/")):
        places += [project.root / word, project.root / project.registry.secrets / word]
    for place in places if word else ():
        if os.path.isdir(place):
            relative = os.path.relpath(os.path.realpath(place), os.path.realpath(project.root))
            if relative == ".." or relative.startswith("../"):
                raise RefusedInput(Code.USAGE, f"{word}: outside of the repository {project.root}")
            return relative
    return locate_secret(project, word, cwd=session.cwd)


__all__ = ["located"]
