"""Where a manifest's secrets go: both parent folders open and checked, one activation at a time, the live link."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator

from secretsmith.activation.accounts import Caller
from secretsmith.activation.folders import exists, failed, open_folder, safe_folder
from secretsmith.activation.generations import LiveLink
from secretsmith.activation.ramdisk import Condition, Memory, inspect, prepare, refuse_unusable
from secretsmith.errors import Code, Conflict, SecretsmithError
from secretsmith.manifest import Manifest

_OLD_LOCK = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_LOCK = _OLD_LOCK | os.O_CREAT
_HOLDER = re.compile(rb"[0-9]{0,20}")


class Target:
    """The place of one manifest, locked. ``live`` is the number of the live generation, ``path`` where generations are."""

    def __init__(
        self, manifest: Manifest, memory: Memory, caller: Caller, above: int, link_parent: int
    ) -> None:
        self.path = manifest.generations
        self._name = manifest.generations.rpartition("/")[2]
        self._memory = memory
        self._above = above
        self.link = LiveLink(link_parent, manifest.directory, manifest.generations, caller.trusted)
        self.condition = inspect(above, self._name, self.path, caller.uid)
        refuse_unusable(self.condition, memory, above, self.path)
        self.live = self.link.current()

    @contextlib.contextmanager
    def existing(self) -> Iterator[int | None]:
        """Give a descriptor of the generations as an earlier run left them, or None if there are none."""
        unmounted = self._memory in (Memory.PLAIN_FOLDER, Memory.USER)
        plain = unmounted and self.condition is Condition.FILLED
        if self.condition is not Condition.MOUNTED and not plain:
            yield None
            return
        with _closing(open_folder(self._above, self._name)) as folder:
            yield folder

    @contextlib.contextmanager
    def ready(self) -> Iterator[int]:
        """Make the folder of generations usable and give a descriptor of it; the first thing that is written."""
        with _closing(prepare(self._above, self._name, self.path, self.condition, self._memory)) as folder:
            mounts = self._memory in (Memory.MOUNT, Memory.VERIFY)
            self.condition = Condition.MOUNTED if mounts else Condition.FILLED
            yield folder

    def switch(self, number: int) -> None:
        """Make generation ``number`` the live one, in one step."""
        self.link.switch(number)
        self.live = number

    @property
    def is_memory(self) -> bool:
        """Whether the values stay in memory."""
        return self._memory is not Memory.PLAIN_FOLDER or self.condition is Condition.MOUNTED


@contextlib.contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked_target(manifest: Manifest, memory: Memory, caller: Caller, wait: float) -> Iterator[Target]:
    """Open and lock the place of ``manifest``, waiting up to ``wait`` seconds for another activation.

    Raises:
        SecretsmithError: PATH_UNSAFE, TARGET, NO_TMPFS; Conflict LOCKED.
    """
    above, _, name = manifest.generations.rpartition("/")
    beside = manifest.directory.rpartition("/")[0]
    with (
        safe_folder(above or "/", caller.trusted, create=True) as parent,
        safe_folder(beside or "/", caller.trusted, create=True) as link_parent,
        _lock(parent.fd, f"{name}.lock", f"{manifest.generations}.lock", wait, caller),
    ):
        yield Target(manifest, memory, caller, parent.fd, link_parent.fd)


@contextlib.contextmanager
def viewed_target(manifest: Manifest, memory: Memory, caller: Caller, wait: float) -> Iterator[Target | None]:
    """Open the place of ``manifest`` to look at it: nothing is made, not even the lock. None where there is no place yet.

    Raises:
        SecretsmithError: as :func:`locked_target`.
    """
    above, _, name = manifest.generations.rpartition("/")
    beside = manifest.directory.rpartition("/")[0]
    with contextlib.ExitStack() as stack:
        try:
            parent = stack.enter_context(safe_folder(above or "/", caller.trusted))
            link_parent = stack.enter_context(safe_folder(beside or "/", caller.trusted))
        except SecretsmithError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            yield None
            return
        if exists(parent.fd, f"{name}.lock"):
            path = f"{manifest.generations}.lock"
            stack.enter_context(_lock(parent.fd, f"{name}.lock", path, wait, caller, flags=_OLD_LOCK))
        yield Target(manifest, memory, caller, parent.fd, link_parent.fd)


@contextlib.contextmanager
def _lock(
    parent: int, name: str, path: str, wait: float, caller: Caller, *, flags: int = _NEW_LOCK
) -> Iterator[None]:
    # Beside the generations and never removed: a lock inside would be hidden by the mount, and a removed one could be
    # held by two at once.
    try:
        fd = os.open(name, flags, 0o600, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise SecretsmithError(Code.TARGET, f"{path} is not a regular file", path=path) from None
        raise failed(error, path) from None
    try:
        if not _is_lock(fd, caller):
            raise SecretsmithError(Code.TARGET, f"{path} is not a lock file of activation", path=path)
        _wait(fd, path, wait)
        if flags is _NEW_LOCK:
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(fd)


def _is_lock(fd: int, caller: Caller) -> bool:
    """Whether to write into the file: it could be of another program (flake.lock), or a second name of /etc/passwd."""
    found = os.fstat(fd)
    ours = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid in caller.trusted
    return ours and _HOLDER.fullmatch(os.pread(fd, 64, 0)) is not None


def _wait(fd: int, path: str, wait: float) -> None:
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                holder = os.pread(fd, 20, 0).decode("ascii", "replace")
                text = f"another activation (process {holder}) holds {path}"
                raise Conflict(
                    Code.LOCKED, text, hints=("run it again when that one is done",), path=path
                ) from None
            time.sleep(0.02)
        else:
            return


__all__ = ["Target", "locked_target", "viewed_target"]
