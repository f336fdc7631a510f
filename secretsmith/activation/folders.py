"""Folders held by descriptors: reached without a symlink on the way, checked, and worked in relative to the descriptor.

A path that was checked and is then used again can have been swapped in between; a descriptor cannot.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from shlex import quote

from secretsmith.errors import Code, SecretsmithError
from secretsmith.record import record

TEMPORARY = (
    ".secretsmith-tmp"  # suffix of what is renamed into place; one name each, as the lock allows one writer
)
_ON_THE_WAY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


Become = Callable[[int], contextlib.AbstractContextManager[None]]
"""Acts as the user with this number for a block."""


@record
class Folder:
    """A safe folder. ``owner`` is the user whose own folders led to it, None when only trusted ones did."""

    fd: int
    owner: int | None


@contextlib.contextmanager
def safe_folder(
    path: str,
    trusted: frozenset[int],
    *,
    also: int | None = None,
    create: bool = False,
    become: Become | None = None,
) -> Iterator[Folder]:
    """Open the folder ``path`` one name at a time, and give it to the block.

    Every folder on the way must belong to one of the uids ``trusted`` (or to ``also``) and must not be writable by
    anybody else, sticky folders such as /tmp excepted. With ``create``, what is missing is made, mode 0755; below a folder
    of ``also`` only with ``become``, which acts as that user meanwhile, mode 0700.

    Raises:
        SecretsmithError: PATH_UNSAFE, with the folder and the reason; NOT_FOUND; ACCESS.
    """
    found = _walk(path, trusted, also=also, create=create, become=become)
    try:
        yield found
    finally:
        os.close(found.fd)


def _walk(
    path: str, trusted: frozenset[int], *, also: int | None, create: bool, become: Become | None
) -> Folder:
    fd = os.open("/", _ON_THE_WAY)
    here = ""
    owner: int | None = None
    try:
        for name in (part for part in path.split("/") if part):
            owner = _check(fd, here or "/", trusted, also) or owner
            here = f"{here}/{name}"
            makes = _maker(owner, become) if create else None
            below = _step(fd, name, here, makes)
            os.close(fd)
            fd = below
        return Folder(fd, _check(fd, here or "/", trusted, also) or owner)
    except BaseException:
        os.close(fd)
        raise


def _check(fd: int, path: str, trusted: frozenset[int], also: int | None) -> int | None:
    try:
        found = os.fstat(fd)
    except OSError as error:  # a user's own filesystem (FUSE) is shut to root
        raise failed(error, path) from None
    if found.st_uid not in trusted and found.st_uid != also:
        raise _unsafe(path, f"belongs to user {found.st_uid}, who could put something else there")
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        why = f"is writable by others (mode {stat.S_IMODE(found.st_mode):04o})"
        raise _unsafe(path, why, f"chmod go-w {quote(path)}")
    return None if found.st_uid in trusted else found.st_uid


def _maker(owner: int | None, become: Become | None) -> Callable[[int, str, str], int] | None:
    """Return what makes a missing folder: root's where all folders above are root's, else only as their owner."""
    if owner is None:
        return make_folder
    if become is None:
        return None

    def make(fd: int, name: str, path: str) -> int:
        with become(owner):
            return make_folder(fd, name, path, 0o700)

    return make


def _step(fd: int, name: str, path: str, make: Callable[[int, str, str], int] | None) -> int:
    try:
        return os.open(name, _ON_THE_WAY, dir_fd=fd)
    except FileNotFoundError:
        if make is None:
            raise SecretsmithError(Code.NOT_FOUND, f"the folder {path} does not exist", path=path) from None
    except OSError as error:
        raise _step_failed(error, fd, name, path) from None
    try:
        return make(fd, name, path)
    except FileExistsError:  # another activation was faster; it is checked as any other
        pass
    try:
        return os.open(name, _ON_THE_WAY, dir_fd=fd)
    except OSError as error:
        raise _step_failed(error, fd, name, path) from None


def _step_failed(error: OSError, fd: int, name: str, path: str) -> SecretsmithError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        with contextlib.suppress(OSError):
            if stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                return _unsafe(path, "is a symlink; name the real folder")
        return _unsafe(path, "is not a folder")
    return failed(error, path)


def make_folder(fd: int, name: str, path: str, mode: int = 0o755) -> int:
    """Make the folder ``name`` in ``fd`` and return a descriptor of it; ``path`` is for messages.

    Raises:
        SecretsmithError: ACCESS, NOSPC …; FileExistsError if it was there already.
    """
    try:
        os.mkdir(name, 0o700, dir_fd=fd)
        made = os.open(name, _FOLDER, dir_fd=fd)
    except FileExistsError:
        raise
    except OSError as error:
        raise failed(error, path) from None
    try:
        os.fchmod(made, mode)
    except OSError as error:
        os.close(made)
        raise failed(error, path) from None
    return made


def open_folder(fd: int, name: str) -> int:
    """Open the folder ``name`` in ``fd`` for listing; a symlink in its place raises OSError (ELOOP or ENOTDIR)."""
    return os.open(name, _FOLDER, dir_fd=fd)


def write_whole(fd: int, data: bytes) -> None:
    """Write all of ``data``; one write(2) may take less."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def replace_file(fd: int, name: str, data: bytes, *, mode: int, sync: bool = False) -> None:
    """Put a file into the folder ``fd`` by one rename: others see the old or the new one.

    ``sync``: on a disk, so that it holds after a power cut as well; ``fd`` must then be open for reading.

    Raises:
        OSError: as the system says; nothing is left behind then.
    """
    temporary = f".{name}{TEMPORARY}"
    remove_if_there(fd, temporary)
    made = os.open(temporary, _NEW_FILE, 0o600, dir_fd=fd)
    try:
        try:
            write_whole(made, data)
            os.fchmod(made, mode)
            if sync:
                os.fsync(made)
        finally:
            os.close(made)
        os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
    except BaseException:
        remove_if_there(fd, temporary)
        raise
    if sync:
        os.fsync(fd)


def replace_link(fd: int, name: str, text: str) -> None:
    """Point the symlink ``name`` in ``fd`` at ``text`` by one rename: it is never missing in between."""
    temporary = f".{name}{TEMPORARY}"
    remove_if_there(fd, temporary)
    os.symlink(text, temporary, dir_fd=fd)
    try:
        os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
    except BaseException:
        remove_if_there(fd, temporary)
        raise


def read_small(fd: int, name: str, limit: int) -> bytes | None:
    """Read a regular file in the folder ``fd``: None if it is missing, b"" if it is no file or above ``limit`` bytes.

    Raises:
        OSError: EMFILE, EIO …, which must not pass for a missing file.
    """
    try:
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return b""
        raise
    try:
        data = b""
        if stat.S_ISREG(os.fstat(found).st_mode):
            while len(data) <= limit and (part := os.read(found, 1 << 20)):
                data += part
    finally:
        os.close(found)
    return data if len(data) <= limit else b""


def link_text(fd: int, name: str) -> str | None:
    """Return where the symlink ``name`` in ``fd`` points, or None if it is missing or no symlink; raises OSError."""
    try:
        return os.readlink(name, dir_fd=fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):
            return None
        raise


def remove_if_there(fd: int, name: str) -> None:
    """Remove a file or symlink in ``fd`` if it exists."""
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        pass
    except OSError as error:
        # A read-only filesystem says so first, before it looks whether there is anything.
        if error.errno != errno.EROFS or exists(fd, name):
            raise


def exists(fd: int, name: str) -> bool:
    """Whether there is anything of that name in ``fd``; raises OSError."""
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def remove_tree(fd: int, name: str, device: int) -> None:
    """Remove ``name`` in ``fd`` and all below, by descriptors; nothing on another filesystem than ``device`` is touched."""
    try:
        folder = open_folder(fd, name)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        os.unlink(name, dir_fd=fd)
        return
    try:
        if os.fstat(folder).st_dev != device:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        busy = None
        for entry in os.listdir(folder):
            try:
                remove_tree(folder, entry, device)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                busy = error  # something is mounted there; the rest goes all the same
        if busy is not None:
            raise busy
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=fd)


def failed(error: OSError, path: str) -> SecretsmithError:
    """Turn what the system said into an error that names ``path``."""
    codes = {
        errno.ENOSPC: Code.NOSPC,
        errno.EDQUOT: Code.NOSPC,
        errno.EACCES: Code.ACCESS,
        errno.EPERM: Code.ACCESS,
        errno.EROFS: Code.ACCESS,
        errno.ENOENT: Code.NOT_FOUND,
    }
    reason = (os.strerror(error.errno) if error.errno else "failed").lower()
    # The units' sandbox makes all read-only but for the places that the manifest had when they were written.
    hint = "in a unit: write its files anew for this manifest (secretsmith-activate --write-units), then systemctl daemon-reload"
    return SecretsmithError(
        codes.get(error.errno or 0, Code.IO),
        f"{path}: {reason}",
        hints=(hint,) if error.errno == errno.EROFS else (),
        path=path,
    )


def _unsafe(path: str, why: str, *hints: str) -> SecretsmithError:
    return SecretsmithError(Code.PATH_UNSAFE, f"{path} {why}", hints=hints, path=path)


__all__ = [
    "TEMPORARY",
    "Become",
    "Folder",
    "exists",
    "failed",
    "link_text",
    "make_folder",
    "open_folder",
    "read_small",
    "remove_if_there",
    "remove_tree",
    "replace_file",
    "replace_link",
    "safe_folder",
    "write_whole",
]
