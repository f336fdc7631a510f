"""Numbered folders of secrets: a draft is written whole, then renamed, then the link is pointed at it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from shlex import quote

from secretsmith.activation.accounts import Ownership
from secretsmith.activation.folders import (
    TEMPORARY,
    link_text,
    open_folder,
    remove_if_there,
    remove_tree,
    replace_link,
    write_whole,
)
from secretsmith.activation.opening.sources import MAX_SOURCE_BYTES
from secretsmith.activation.ramdisk import FOLDER_MODE
from secretsmith.errors import Code, SecretsmithError
from secretsmith.record import record
from secretsmith.sensitive import Sensitive

_NUMBER = re.compile(r"[1-9][0-9]{0,17}\Z")
_DRAFT = re.compile(r"[1-9][0-9]{0,17}\.tmp\Z")
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@record
class InstalledFile:
    """A file of a generation, read or to be written; ``name`` may have slashes."""

    name: str
    content: Sensitive
    ownership: Ownership
    mode: int


class LiveLink:
    """The link that services read through, such as /run/secrets, in the open folder ``parent``."""

    def __init__(self, parent: int, path: str, generations: str, trusted: frozenset[int]) -> None:
        self._parent = parent
        self._trusted = trusted
        self._path = path
        self._name = path.rpartition("/")[2]
        self._generations = generations

    def current(self) -> int | None:
        """Return the number of the live generation, or None before the first.

        Raises:
            SecretsmithError: TARGET, when something is there that activation did not make.
        """
        try:
            owner = os.stat(self._name, dir_fd=self._parent, follow_symlinks=False).st_uid
        except FileNotFoundError:
            return None
        text = link_text(self._parent, self._name)
        if text is None:
            raise self._foreign("is a file or folder, not a link into " + self._generations)
        if owner not in self._trusted:
            raise self._foreign(f"belongs to user {owner}, who could point it elsewhere")
        folder, _, number = text.rpartition("/")
        if folder != self._generations or not _NUMBER.match(number):
            raise self._foreign(f"is a link that leads elsewhere than {self._generations}")
        return int(number)

    def remove_leftover(self) -> None:
        """Remove the half-made link of an interrupted run."""
        remove_if_there(self._parent, f".{self._name}{TEMPORARY}")

    def switch(self, number: int) -> None:
        """Make generation ``number`` the live one, in one step."""
        replace_link(self._parent, self._name, f"{self._generations}/{number}")

    def _foreign(self, why: str) -> SecretsmithError:
        hint = f"move it away (it is never deleted here): mv {quote(self._path)} {quote(self._path + '.old')}"
        return SecretsmithError(Code.TARGET, f"{self._path} {why}", hints=(hint,), path=self._path)


class Generations:
    """The folder of generations behind the descriptor ``fd``, which stays the caller's to close."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._device = os.fstat(fd).st_dev
        self.busy: set[int] = set()  # what could not be removed, as something is mounted over a file of it

    def numbers(self) -> list[int]:
        """Return the numbers of all complete generations, smallest first; foreign names are passed over."""
        return sorted(int(name) for name in os.listdir(self.fd) if _NUMBER.match(name))

    def next_number(self, live: int | None) -> int:
        """Return a number above all that are or were in use."""
        return max([0, live or 0, *self.numbers()]) + 1

    def remove_leftovers(self, live: int | None) -> None:
        """Remove what an interrupted run left: drafts, and generations that were complete but never went live."""
        for name in os.listdir(self.fd):
            late = _NUMBER.match(name) and live is not None and int(name) > live
            if late:
                self.remove(int(name))
            elif _DRAFT.match(name):
                remove_tree(self.fd, name, self._device)

    def prune(self, live: int, keep: int) -> list[int]:
        """Remove all but the ``keep`` newest generations up to the live one; return the numbers that stay."""
        stay = [number for number in self.numbers() if number <= live][-keep:]
        for number in self.numbers():
            if number < live and number not in stay and not self.remove(number):
                stay.append(number)
        return sorted(stay)

    def remove(self, number: int) -> bool:
        """Remove one generation; False, and :attr:`busy` has it, if a file's owner has mounted something over it (FUSE)."""
        try:
            remove_tree(self.fd, str(number), self._device)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            self.busy.add(number)
            return False
        return True

    def remove_file(self, number: int, name: str) -> None:
        """Take one file out of a generation; what cannot be removed goes with the generation later."""
        try:
            folder = _descend(open_folder(self.fd, str(number)), name.split("/")[:-1], make=False)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            return
        try:
            remove_if_there(folder, name.rpartition("/")[2])
        except OSError as error:
            if error.errno != errno.EBUSY:  # mounted over by its owner (FUSE)
                raise
        finally:
            os.close(folder)

    def write(self, number: int, files: Sequence[InstalledFile]) -> dict[str, list[int]]:
        """Write a complete generation and return the stamps of its files; on any failure nothing of it stays.

        The draft is 0700 until every file has its bytes, owner and mode, so that nobody meets a half-made one; and the
        stamps are of files that nobody else can have opened.

        Raises:
            OSError: as the system says (a full tmpfs, no descriptors left …).
        """
        draft = f"{number}.tmp"
        os.mkdir(draft, 0o700, dir_fd=self.fd)
        try:
            folder = open_folder(self.fd, draft)
            try:
                stamps = {file.name: _write_file(folder, file) for file in files}
                _open_up(folder)
            finally:
                os.close(folder)
            os.rename(draft, str(number), src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except BaseException:
            with contextlib.suppress(OSError):
                remove_tree(self.fd, draft, self._device)
            raise
        return stamps

    def read(self, number: int) -> Reader:
        """Return a reader of a complete generation."""
        return Reader(self.fd, number)


class Reader:
    """The files of one generation, read through descriptors."""

    def __init__(self, fd: int, number: int) -> None:
        self._fd = fd
        self._number = str(number)

    def names(self) -> set[str]:
        """Return the names of all files; empty if the generation is gone."""
        try:
            folder = open_folder(self._fd, self._number)
        except FileNotFoundError:
            return set()
        try:
            return set(_names(folder, ""))
        finally:
            os.close(folder)

    def stamp(self, name: str) -> list[int] | None:
        """Return what changes when anybody touches the file: inode, size, times, owner, mode. None if it is no file."""
        try:
            folder = self._folder(name)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            return None
        try:
            found = _status(folder, name.rpartition("/")[2])
        finally:
            os.close(folder)
        return None if found is None else _stamp_of(found)

    def file(self, name: str) -> InstalledFile | None:
        """Read one file; None if it is missing, no regular file, or larger than any that was written.

        Its owner may have changed it since, and could make it larger than this machine.
        """
        with self._file(name) as fd:
            if fd is None:
                return None
            found = os.fstat(fd)
            if found.st_size > MAX_SOURCE_BYTES:
                return None
            content = b""
            while len(content) < found.st_size and (part := os.read(fd, found.st_size - len(content))):
                content += part
        owner = Ownership(found.st_uid, found.st_gid)
        return InstalledFile(name, Sensitive(content), owner, stat.S_IMODE(found.st_mode))

    def _folder(self, name: str) -> int:
        return _descend(open_folder(self._fd, self._number), name.split("/")[:-1], make=False)

    @contextlib.contextmanager
    def _file(self, name: str) -> Iterator[int | None]:
        try:
            folder = self._folder(name)
            try:
                found = _open_file(folder, name.rpartition("/")[2])
            finally:
                os.close(folder)
        except OSError as error:
            # Anything else (no descriptors left, an I/O error) must not pass for a missing file.
            if error.errno not in _NO_FILE:
                raise
            yield None
            return
        try:
            yield found if stat.S_ISREG(os.fstat(found).st_mode) else None
        finally:
            os.close(found)


def _status(folder: int, name: str) -> os.stat_result | None:
    """Look at a file without opening it, which its owner could make fail; None if it is no file that can be looked at."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        # Access is denied to root only by what the file's owner mounted over it (FUSE).
        if error.errno not in (*_NO_FILE, errno.EACCES):
            raise
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _open_file(folder: int, name: str) -> int:
    try:
        return os.open(name, _READ, dir_fd=folder)
    except BlockingIOError:
        # Its owner holds a lease on it (fcntl(2)): that is that user's loss, and must not keep the others from theirs.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
    except PermissionError:
        found = _status(folder, name)
        if found is not None and found.st_mode & stat.S_IRUSR:
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None


def _stamp_of(found: os.stat_result) -> list[int]:
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return [found.st_ino, found.st_size, *times, found.st_uid, found.st_gid, found.st_mode]


def _write_file(draft: int, file: InstalledFile) -> list[int]:
    *above, name = file.name.split("/")
    folder = _descend(os.dup(draft), above, make=True)
    try:
        # Created without any bit that it will not have in the end; the descriptor writes whatever the bits say.
        made = os.open(name, _NEW_FILE, file.mode & 0o600, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        write_whole(made, file.content.expose())
        # In this order: a chown after the chmod would clear bits again (chown(2)), and with the bits first another owner's
        # file would be open to the wrong group for an instant.
        os.fchown(made, file.ownership.uid, file.ownership.gid)
        os.fchmod(made, file.mode)
        return _stamp_of(os.fstat(made))
    finally:
        os.close(made)


def _descend(folder: int, names: Sequence[str], *, make: bool) -> int:
    """Close ``folder`` and return a descriptor of the folder ``names`` below it."""
    for name in names:
        try:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=folder)
            below = open_folder(folder, name)
        except BaseException:
            os.close(folder)
            raise
        os.close(folder)
        folder = below
    return folder


def _open_up(folder: int) -> None:
    for name, is_folder in _listed(folder):
        if is_folder:
            below = open_folder(folder, name)
            try:
                _open_up(below)
            finally:
                os.close(below)
    os.fchmod(folder, FOLDER_MODE)


def _listed(folder: int) -> list[tuple[str, bool]]:
    with os.scandir(folder) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]


def _names(folder: int, prefix: str) -> Iterator[str]:
    for name, is_folder in _listed(folder):
        if not is_folder:
            yield prefix + name
            continue
        below = open_folder(folder, name)
        try:
            yield from _names(below, f"{prefix}{name}/")
        finally:
            os.close(below)


__all__ = ["Generations", "InstalledFile", "LiveLink", "Reader"]
