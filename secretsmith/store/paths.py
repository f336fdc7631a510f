"""Paths inside a repository: relative, plain, and without a symbolic link on the way.

Everything below works on folder descriptors opened step by step with O_NOFOLLOW, so that a link that is swapped in
between a check and a use is refused by the kernel and not by luck.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NewType

from secretsmith.errors import Code, RefusedInput
from secretsmith.store.failures import translated

RepoPath = NewType("RepoPath", str)
"""A checked path, relative to the repository's root, with "/" between its parts and no "." or ".." among them."""

# Linux NAME_MAX and PATH_MAX (limits.h): longer ones fail later and less clearly.
MAX_NAME_BYTES: Final = 255
MAX_PATH_BYTES: Final = 4095
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def relative(text: str) -> RepoPath:
    """Return ``text`` as a path relative to the root, judged by its characters alone ("." and "//" are dropped).

    Raises:
        RefusedInput: NAME for an empty or absolute path, "..", a character that does not print (NUL, newline, escape,
            bidirectional marks), bytes that are not UTF-8, a name over 255 bytes, or a part named ".git", where
            hooks live.
    """
    if text.startswith("/"):
        raise _refused(text, "an absolute path; paths are relative to the repository's root")
    if not text.isprintable():
        raise _refused(text, "has characters that do not print")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts:
        raise _refused(text, "names no file")
    for part in parts:
        if part == "..":
            raise _refused(text, 'has ".." in it')
        if part.lower() == ".git":
            raise _refused(text, "lies inside git's own folder")
        if len(part.encode("utf-8")) > MAX_NAME_BYTES:
            raise _refused(text, f"has a part of more than {MAX_NAME_BYTES} bytes")
    path = "/".join(parts)
    if len(path.encode("utf-8")) > MAX_PATH_BYTES:
        raise _refused(text, f"is longer than {MAX_PATH_BYTES} bytes")
    return RepoPath(path)


def _refused(text: str, reason: str) -> RefusedInput:
    # ascii() keeps escape sequences of a hostile name away from the terminal.
    shown = text if text.isprintable() else ascii(text)
    if len(shown) > 120:
        shown = shown[:117] + "..."
    return RefusedInput(Code.NAME, f"{shown or 'an empty path'}: {reason}")


def safe_relative(root: Path, text: str) -> RepoPath:
    """Return ``text`` as a checked path below ``root``; the file and its folders need not exist yet.

    Raises:
        RefusedInput: NAME as :func:`relative`; SYMLINK, a folder on the way is a symbolic link; NAME_CLASH, it is a file.
        SecretsmithError: ACCESS or IO.
    """
    path = relative(text)
    missing_folders(root, path)
    return path


def missing_folders(root: Path, path: RepoPath) -> list[RepoPath]:
    """Return the folders on the way to ``path`` that do not exist, outermost first; raises as :func:`safe_relative`."""
    parts = path.split("/")[:-1]
    descriptor = _open_root(root)
    try:
        for depth, part in enumerate(parts):
            try:
                descriptor = _step(descriptor, part, "/".join(parts[: depth + 1]))
            except FileNotFoundError:
                return [RepoPath("/".join(parts[: end + 1])) for end in range(depth, len(parts))]
        return []
    finally:
        os.close(descriptor)


@contextmanager
def opened_folder(root: Path, folder: str) -> Iterator[int]:
    """Open the folder ``folder`` ("" is the root itself) and give its descriptor.

    Raises:
        NotFound: it does not exist; else as :func:`safe_relative`.
    """
    descriptor = _open_root(root)
    try:
        walked = ""
        for part in folder.split("/") if folder else ():
            walked = f"{walked}/{part}" if walked else part
            try:
                descriptor = _step(descriptor, part, walked)
            except FileNotFoundError as error:
                raise translated(error, folder) from error
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def opened_parent(root: Path, path: RepoPath) -> Iterator[tuple[int, str]]:
    """Open the folder that holds ``path``; give its descriptor and the name of the file inside it."""
    folder, _, name = path.rpartition("/")
    with opened_folder(root, folder) as descriptor:
        yield descriptor, name


def _open_root(root: Path) -> int:
    # The root itself may well be reached through links (/home on another disk); only what is inside is not.
    try:
        return os.open(root, _FOLDER_FLAGS)
    except OSError as error:
        raise translated(error, root) from error


def _step(descriptor: int, part: str, walked: str) -> int:
    """Open ``part`` inside ``descriptor``, which is closed on success; FileNotFoundError is left to the caller."""
    try:
        inner = os.open(part, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=descriptor)
    except FileNotFoundError:
        raise
    except NotADirectoryError as error:
        # The kernel says ENOTDIR, not ELOOP, for a link that is opened with O_DIRECTORY|O_NOFOLLOW.
        if stat.S_ISLNK(os.stat(part, dir_fd=descriptor, follow_symlinks=False).st_mode):
            raise RefusedInput(
                Code.SYMLINK,
                f"{walked}: a symbolic link on the way",
                hints=("secretsmith follows no links inside a repository; put the folder itself there",),
                path=walked,
            ) from error
        raise translated(error, walked) from error
    except OSError as error:
        raise translated(error, walked) from error
    os.close(descriptor)
    return inner


__all__ = [
    "MAX_NAME_BYTES",
    "RepoPath",
    "missing_folders",
    "opened_folder",
    "opened_parent",
    "relative",
    "safe_relative",
]
