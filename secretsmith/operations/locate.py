"""From what a person types to the path of a secret (design.md §4).

SECRET is a path from here, a path from the root, or a path below the secrets folder, with or without suffix. What begins with
``./``, ``../`` or ``/`` is only a path from here, so that every file can be named without doubt.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from secretsmith.documents.format import Format, format_of
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.operations.managed import managed_files
from secretsmith.project import Project
from secretsmith.store.paths import safe_relative

SUFFIX = ".age"
SUFFIXES = (SUFFIX, ".yaml", ".yml", ".json", ".env", ".ini")
_EXPLICIT = ("./", "../", "/")
_SUGGESTIONS = 3


def locate_secret(project: Project, text: str, *, cwd: Path) -> str:
    """Return the path, relative to the root, of the existing secret that ``text`` means.

    ``cwd`` is the folder the person is in.

    Raises:
        NotFound: no such secret; the hints name similar ones.
        RefusedInput: AMBIGUOUS, with the candidates; or a path that leaves the repository or passes a symlink.
    """
    found = _existing(project, text, cwd)
    if not found:
        raise _unknown(project, text, cwd)
    if len(found) > 1:
        raise _ambiguous(project, text, found, cwd)
    return safe_relative(project.root, found[0])


def locate_target(project: Project, text: str, *, cwd: Path) -> str:
    """Return the path that ``text`` means for writing: an existing secret, else the place for a new one.

    A new path without a known suffix gets ``.age``. It lies below the secrets folder, unless ``text`` starts there
    already, is explicit (``./``), or the person is inside the secrets folder.

    Raises:
        RefusedInput: AMBIGUOUS; USAGE; or a path that leaves the repository or passes a symlink.
    """
    found = _existing(project, text, cwd)
    if len(found) > 1:
        raise _ambiguous(project, text, found, cwd)
    if found:
        return safe_relative(project.root, found[0])
    if not text or text.endswith("/"):
        raise RefusedInput(Code.USAGE, f"{text!r} names no file", hints=("give a path such as web/db.age",))
    return safe_relative(project.root, _suffixed(_relative(project, _new_path(project, text, cwd))))


def locate_beside(project: Project, source: str, text: str, *, cwd: Path) -> str:
    """Return the path that ``text`` means as the target of a move or copy of ``source``.

    A folder, or a text that ends in ``/``, means a file of the same name in it.

    Raises:
        RefusedInput: EXISTS, the target is there already; and as :func:`locate_target`.
    """
    name = os.path.basename(source)
    if text.endswith("/"):
        text += name
    elif folder := _folder(project, text, cwd):
        text = str(Path(folder) / name)
    if not text.endswith(SUFFIXES):
        text += os.path.splitext(source)[1]
    target = locate_target(project, text, cwd=cwd)
    if os.path.lexists(project.root / target):
        raise RefusedInput(
            Code.EXISTS,
            f"{target}: exists already",
            hints=(f"remove it first: secretsmith rm {target}",),
            path=target,
        )
    return target


def find_file(text: str, *, cwd: Path) -> Path | None:
    """Return the file that ``text`` names from ``cwd``, if there is one; for files that no registry knows."""
    path = cwd / text
    return path if text and os.path.lexists(path) and not path.is_dir() else None


def display_path(project: Project, path: str, cwd: Path) -> str:
    """Return ``path`` (relative to the root) as it can be typed in ``cwd`` without doubt."""
    shown = os.path.relpath(project.root / path, cwd)
    return shown if shown.startswith("../") else f"./{shown}"


def _existing(project: Project, text: str, cwd: Path) -> list[str]:
    """Return the distinct existing files that ``text`` may mean, relative to the root."""
    explicit = text.startswith(_EXPLICIT)
    candidates = [cwd / text]
    if not explicit:
        below = project.root / project.registry.secrets
        candidates += [project.root / text, below / text]
        candidates += [below / f"{text}{suffix}" for suffix in SUFFIXES]
        if _inside(cwd, below):
            candidates += [cwd / f"{text}{suffix}" for suffix in SUFFIXES]
    found: dict[str, None] = {}
    for candidate in candidates if text else ():
        path = os.path.normpath(candidate)
        # Here may be outside: then only a path that says so means it, and is refused.
        if _is_file(path) and (explicit or _is_below(project, path)):
            found[_relative(project, path)] = None
    return list(found)


def _relative(project: Project, path: str) -> str:
    for root in (project.root, os.path.realpath(project.root)):
        # A repository may be reached through a link, while the working folder is a physical path.
        shown = os.path.relpath(path, root)
        if shown.split("/", 1)[0] != "..":
            return shown
    raise RefusedInput(
        Code.NAME,
        f"{path}: lies outside the repository {project.root}",
        hints=("secretsmith -C REPOSITORY …",),
        path=path,
    )


def _is_below(project: Project, path: str) -> bool:
    try:
        _relative(project, path)
    except RefusedInput:
        return False
    return True


def _is_file(path: str) -> bool:
    # A symlink, fifo or device counts as being there: what reads it says why it is refused.
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def _folder(project: Project, text: str, cwd: Path) -> str | None:
    candidates = [cwd / text]
    if not text.startswith(_EXPLICIT):
        candidates += [project.root / text, project.root / project.registry.secrets / text]
    for candidate in candidates:
        if os.path.isdir(candidate):
            return os.path.normpath(candidate)
    return None


def _new_path(project: Project, text: str, cwd: Path) -> str:
    below = project.root / project.registry.secrets
    if text.startswith(_EXPLICIT):
        return os.path.normpath(cwd / text)
    if not _is_below(project, str(cwd)) and _is_below(project, here := os.path.normpath(cwd / text)):
        return here  # from a place outside, into the repository
    if _inside(Path(os.path.normpath(project.root / text)), below):
        return os.path.normpath(project.root / text)
    return os.path.normpath((cwd if _inside(cwd, below) else below) / text)


def _inside(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _suffixed(path: str) -> str:
    known = path.endswith(SUFFIXES) or format_of(path) not in (Format.AGE, Format.BINARY)
    return path if known else path + SUFFIX


def _ambiguous(project: Project, text: str, found: Sequence[str], cwd: Path) -> RefusedInput:
    shown = [display_path(project, path, cwd) for path in found]
    return RefusedInput(
        Code.AMBIGUOUS, f"{text} is ambiguous: {', '.join(shown)}", hints=("name one of them as shown",)
    )


def _unknown(project: Project, text: str, cwd: Path) -> NotFound:
    if folder := _folder(project, text, cwd) if text else None:
        shown = os.path.relpath(folder, cwd)
        return NotFound(Code.NOT_FOUND, f"{text} is a folder", hints=(f"secretsmith ls {shown}",))
    hints = [
        f"did you mean {name}?"
        for name in similar_names(text, managed_files(project), project.registry.secrets)
    ]
    return NotFound(Code.NOT_FOUND, f"no secret {text}", hints=(*hints, "secretsmith ls lists all"))


def similar_names(text: str, paths: Iterable[str], folder: str) -> list[str]:
    """Return the paths that look most like ``text``, compared whole, below ``folder``, and without suffix."""
    import difflib  # only for a name that was not found

    names: dict[str, str] = {}
    for path in paths:
        short = path.removeprefix(f"{folder}/")
        for name in (path, short, short.removesuffix(SUFFIX), os.path.basename(short).removesuffix(SUFFIX)):
            names.setdefault(name, path)
    close = difflib.get_close_matches(text.removesuffix(SUFFIX), names, n=_SUGGESTIONS)
    close += difflib.get_close_matches(text, names, n=_SUGGESTIONS)
    return list(dict.fromkeys(names[name] for name in close))[:_SUGGESTIONS]


__all__ = [
    "SUFFIX",
    "display_path",
    "find_file",
    "locate_beside",
    "locate_secret",
    "locate_target",
    "similar_names",
]
