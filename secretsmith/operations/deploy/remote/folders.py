"""Folders of root that nobody else can have prepared, and files in them that are whole or not there."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from secretsmith.operations.deploy.remote.channel import Refused

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE = 0o022


def open_folder(path: str, mode: int, *, within: int | None = None) -> int:
    """Open a folder that belongs to whoever runs this and that nobody else may write into, made with ``mode`` if it is missing.

    ``within`` is the open folder it lies in; without it, those on the way to it are looked at first.

    Raises:
        Refused: something else is there (a symlink, a file), or somebody else's.
    """
    name = os.path.basename(path)
    if within is None:
        above = os.open(_checked_way(os.path.dirname(path)), _FOLDER)
        try:
            return open_folder(path, mode, within=above)
        finally:
            os.close(above)
    with suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=within)
    try:
        folder = os.open(name, _FOLDER, dir_fd=within)
    except OSError:
        raise Refused(
            "E_PATH_UNSAFE",
            f"{path} is no folder of its own (a symlink, or a file): nothing was written",
            f"look at it there: ls -ld {path}",
        ) from None
    try:
        _check(os.fstat(folder), path)
        if stat.S_IMODE(os.fstat(folder).st_mode) != mode:
            os.fchmod(folder, mode)
    except BaseException:
        os.close(folder)
        raise
    return folder


def nobody_else_s(path: str) -> bool:
    """Whether nobody else can have made, or can change, what a path leads to: a file, or a folder that is there.

    What is run or read as root before anything was refused has to lie in such a place.
    """
    try:
        _check(os.stat(_checked_way(path)), path)
    except (OSError, Refused):
        return False
    return True


def _checked_way(path: str) -> str:
    """Return where a path really leads; Refused when somebody else could put another folder in the place of one on the way."""
    real = os.path.realpath(path)
    place = real
    while place != os.path.dirname(place):
        place = os.path.dirname(place)
        _check(os.stat(place), place, on_the_way=True)
    _check(os.stat(real), real, on_the_way=True)
    return real


def _check(found: os.stat_result, path: str, *, on_the_way: bool = False) -> None:
    # In a sticky folder others can make things, but not touch ours. In ours they are to make none.
    others = found.st_mode & _OTHERS_WRITE and not (on_the_way and found.st_mode & stat.S_ISVTX)
    if found.st_uid not in (0, os.geteuid()) or others:
        raise Refused(
            "E_PATH_UNSAFE",
            f"{path} can be written by others (user {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o})",
            f"look at what lies there, then: chown root {path}; chmod go-w {path}",
        )


@contextmanager
def locked(folder: int, path: str) -> Iterator[None]:
    """Hold the folder alone; Refused when another deploy does, or has just removed it."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(folder).st_nlink == 0:
            raise FileNotFoundError
    except OSError:
        raise Refused("E_LOCKED", f"another deploy is at work in {path}", "try again in a moment") from None
    try:
        yield
    finally:
        fcntl.flock(folder, fcntl.LOCK_UN)


def write_below(folder: int, path: str, data: bytes, mode: int) -> None:
    """Write a new file at the relative ``path``, with the folders on the way; all of it is on the disk afterwards.

    Raises:
        Refused: a path that leads elsewhere.
        OSError: it exists, or the disk is full.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise Refused("E_PATH_UNSAFE", f"{path!a} does not stay in its folder")
    opened = [os.dup(folder)]
    try:
        for part in parts[:-1]:
            with suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=opened[-1])
            opened.append(os.open(part, _FOLDER, dir_fd=opened[-1]))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        made = os.open(parts[-1], flags, mode, dir_fd=opened[-1])
        opened.append(made)
        view = memoryview(data)
        while view:
            view = view[os.write(made, view) :]
        for descriptor in reversed(opened):
            os.fsync(descriptor)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def replace_link(folder: int, name: str, target: str) -> None:
    """Make ``name`` a link to ``target`` by one rename: whoever looks sees the old link or the new one."""
    draft = f".{name}.new"
    with suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=folder)
    os.symlink(target, draft, dir_fd=folder)
    os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def link_target(folder: int, name: str) -> str | None:
    """Return where the link ``name`` leads, None when there is nothing; Refused for anything but a link."""
    try:
        return os.readlink(name, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError:
        raise Refused("E_PATH_UNSAFE", f"{name} is there, and is no link of a deploy") from None


__all__ = ["link_target", "locked", "nobody_else_s", "open_folder", "replace_link", "write_below"]
