"""Where a clone keeps what is never committed: ``.git/secretsmith``, found without starting git."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.store.atomic import make_folder, opened_outside, read_file, write_atomic
from secretsmith.store.failures import naming

STATE_NAME: Final = "secretsmith"
FALLBACK_NAME: Final = ".secretsmith"
_POINTER: Final = b"gitdir: "
_MAX_POINTER_BYTES: Final = 8192


def state_dir(root: Path) -> Path:
    """Return the state folder of the repository at ``root``, made with mode 0700 when it does not exist.

    It is ``secretsmith/`` inside git's folder of this work tree (a linked work tree or submodule has its own, as its files
    are its own); for a registry below the top of the work tree a folder of its own inside that. Without git it is
    ``ROOT/.secretsmith`` with a .gitignore, in case git comes later.

    Raises:
        RefusedInput: SYMLINK or NOT_REGULAR, something else is in its place.
        SecretsmithError: ACCESS, NOSPC, IO.
    """
    found = git_folder(root)
    if found is None:
        state = root / FALLBACK_NAME
        if _make(state) or not (state / ".gitignore").exists():
            write_atomic(state / ".gitignore", b"*\n")
        return state
    top, folder = found
    state = folder / STATE_NAME
    _make(state)
    below = os.path.relpath(root.resolve(), top.resolve())
    if below != ".":
        import hashlib  # only for a registry that is not at the top

        state = state / hashlib.sha256(os.fsencode(below)).hexdigest()[:16]
        _make(state)
    return state


def git_folder(root: Path) -> tuple[Path, Path] | None:
    """Return the top of the work tree that ``root`` lies in and git's folder for it, None outside of git.

    As git itself does with safe.directory, a ``.git`` that belongs to somebody else (think of ``/tmp/.git``) is passed
    over: the accepted keys are kept there.
    """
    here = Path(os.path.abspath(root))
    trusted = {os.geteuid()}
    with naming(root):
        trusted.add(here.stat().st_uid)
    for top in (here, *here.parents):
        folder = _git_folder_of(top)
        if folder is not None and folder.stat().st_uid in trusted:
            return top, folder
    return None


def _git_folder_of(top: Path) -> Path | None:
    entry = top / ".git"
    try:
        mode = entry.stat().st_mode
    except OSError:
        return None
    folder = entry
    if stat.S_ISREG(mode):
        pointed = _pointer(entry)
        if pointed is None:
            return None
        folder = top / pointed
    # git's own test of a repository begins with HEAD too (setup.c: is_git_directory)
    return folder if (folder / "HEAD").is_file() else None


def _pointer(entry: Path) -> str | None:
    """Return the folder that a ``.git`` file of a linked work tree or submodule names (gitrepository-layout(5))."""
    try:
        text = read_file(entry, _MAX_POINTER_BYTES, follow=True)
    except SecretsmithError:
        return None
    if not text.startswith(_POINTER) or b"\0" in text:
        return None
    return os.fsdecode(text[len(_POINTER) :].rstrip(b"\r\n"))


def _make(folder: Path) -> bool:
    """Make ``folder`` private; say whether it is new."""
    with naming(folder):
        if not os.path.lexists(folder):
            with opened_outside(folder.parent) as parent:
                make_folder(parent, folder.name, 0o700)
                os.fsync(parent)  # or a power cut takes the journal with its folder
            return True
        mode = folder.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise RefusedInput(Code.SYMLINK, f"{folder}: a symbolic link, not a folder", path=str(folder))
    if not stat.S_ISDIR(mode):
        raise RefusedInput(Code.NOT_REGULAR, f"{folder}: not a folder", path=str(folder))
    return False


__all__ = ["git_folder", "state_dir"]
