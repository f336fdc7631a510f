"""Which files of a repository are secrets: those below the secrets folder that a rule names or that we wrote.

The text that a failed edit leaves beside a file is none: it is for whoever typed it and the admins, whatever the rules say,
until it is looked at and removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from secretsmith.errors import Code, NotFound
from secretsmith.policy.resolve import wanted_readers
from secretsmith.project import Project
from secretsmith.store.walk import list_secret_files

_KEPT = re.compile(r".\.rej[0-9]*\.age\Z")


def managed_files(project: Project, paths: Sequence[str] = ()) -> Iterator[str]:
    """Yield the secrets, sorted, as paths relative to the root.

    ``paths`` (relative to the root) limits them to these files and to what lies below these folders.

    Raises:
        NotFound: a path of ``paths`` that holds no secret.
    """
    found = [
        path
        for path in list_secret_files(project.root, project.registry.secrets)
        if is_managed(project, path)
    ]
    # A file that we wrote stays managed when the secrets folder was changed in the registry since.
    known = set(found)
    found.extend(path for path in project.lock.files if path not in known and (project.root / path).is_file())
    found.sort()
    if not paths:
        yield from found
        return
    wanted = [path.rstrip("/") for path in paths]
    for path in wanted:
        if path != "." and not any(name == path or name.startswith(f"{path}/") for name in found):
            raise NotFound(Code.NOT_FOUND, f"{path}: no secret there", hints=("secretsmith ls",), path=path)
    yield from (name for name in found if _below(name, wanted))


def is_managed(project: Project, path: str) -> bool:
    """Say whether ``path`` is a secret: in the lock, or named by a rule."""
    if path in project.lock.files:
        return True
    return not is_kept_text(path) and wanted_readers(project.registry, path) is not None


def is_kept_text(path: str) -> bool:
    """Say whether ``path`` is named as the text of a failed edit is: ``NAME.rej.age``, ``NAME.rej1.age``."""
    return _KEPT.search(path) is not None


def kept_texts(project: Project) -> Iterator[str]:
    """Yield the texts of failed edits, as paths relative to the root."""
    for path in list_secret_files(project.root, project.registry.secrets):
        if is_kept_text(path) and path not in project.lock.files:
            yield path


def unruled_files(project: Project) -> Iterator[str]:
    """Yield files below the secrets folder that look like secrets and that no rule names and we did not write."""
    for path in list_secret_files(project.root, project.registry.secrets):
        if path.endswith(".age") and not is_kept_text(path) and not is_managed(project, path):
            yield path


def _below(name: str, paths: Sequence[str]) -> bool:
    return any(path == "." or name == path or name.startswith(f"{path}/") for path in paths)


__all__ = ["is_kept_text", "is_managed", "kept_texts", "managed_files", "unruled_files"]
