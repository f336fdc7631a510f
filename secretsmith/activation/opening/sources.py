"""The files on the host that activation reads: encrypted sources and identity files, each opened once."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from hashlib import sha256

from secretsmith.activation.folders import failed
from secretsmith.errors import Code, NotFound, SecretsmithError
from secretsmith.record import field, record

MAX_SOURCE_BYTES = 64 * 1024 * 1024
MAX_TOTAL_BYTES = 128 * 1024 * 1024  # of all sources of one manifest: they are held in memory together
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def read_regular(path: str, limit: int, *, follow: bool = False) -> tuple[bytes, os.stat_result]:
    """Read a regular file of at most ``limit`` bytes; a symlink in its place only with ``follow``.

    O_NONBLOCK, so that a FIFO in its place cannot hang the boot.

    Raises:
        SecretsmithError: NOT_FOUND, ACCESS, NOT_REGULAR, TOO_BIG, IO.
    """
    try:
        fd = os.open(path, _OPEN if follow else _OPEN | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(Code.NOT_FOUND, f"{path} does not exist", path=path) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _not_regular(path, "a symlink" if error.errno == errno.ELOOP else "a device") from None
        raise failed(error, path) from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _not_regular(path, "a folder" if stat.S_ISDIR(found.st_mode) else "a FIFO or device")
        if found.st_size > limit:
            raise SecretsmithError(Code.TOO_BIG, f"{path}: larger than {limit} bytes", path=path)
        return _read_all(fd, path, limit), found
    except OSError as error:
        raise failed(error, path) from None
    finally:
        os.close(fd)


def _read_all(fd: int, path: str, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := os.read(fd, 1 << 20):
        parts.append(part)
        size += len(part)
        if size > limit:  # files of /proc say 0 bytes, and others may grow
            raise SecretsmithError(Code.TOO_BIG, f"{path}: larger than {limit} bytes", path=path)
    return b"".join(parts)


def _not_regular(path: str, what: str) -> SecretsmithError:
    return SecretsmithError(Code.NOT_REGULAR, f"{path} is {what}, not a regular file", path=path)


@record(frozen=False, slots=False)
class Sources:
    """All encrypted sources of a manifest. The bytes that were digested are the bytes that are decrypted."""

    contents: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, SecretsmithError] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)
    _total: int = 0

    def read(self, path: str) -> None:
        """Read ``path`` unless it was read; what goes wrong is kept for the secrets that want it."""
        if path in self._digests or path in self.failures:
            return
        left = MAX_TOTAL_BYTES - self._total
        try:
            data, _ = read_regular(path, min(MAX_SOURCE_BYTES, left))
        except SecretsmithError as error:
            crowded = error.code is Code.TOO_BIG and left < MAX_SOURCE_BYTES
            self.failures[path] = _too_much(path) if crowded else _hinted(error)
        else:
            self.contents[path] = data
            self._digests[path] = sha256(data).hexdigest()
            self._total += len(data)

    def release(self, path: str) -> None:
        """Let go of the bytes of ``path``; its digest stays, and it is not read a second time."""
        self.contents.pop(path, None)

    def digests(self, paths: Iterable[str] | None = None) -> Mapping[str, str]:
        """Return path → SHA-256 of what was read, or the code of what went wrong; only of ``paths`` if they are given."""
        found = self._digests | {path: str(error.code) for path, error in self.failures.items()}
        return found if paths is None else {path: found[path] for path in paths if path in found}


def _hinted(error: SecretsmithError) -> SecretsmithError:
    if error.code is Code.NOT_FOUND:
        hint = "bring the encrypted files of this host to it again, and then activate"
        return NotFound(error.code, error.message, hints=(hint,), path=error.path)
    return error


def _too_much(path: str) -> SecretsmithError:
    limit = f"{MAX_TOTAL_BYTES // 1024 // 1024} MiB"
    return SecretsmithError(
        Code.TOO_BIG, f"{path}: with it the sources are larger than {limit} together", path=path
    )


def file_stamp(path: str) -> list[int]:
    """Return what changes when a file is written or replaced, without reading it; empty if it is missing."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return []
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode]


__all__ = ["MAX_SOURCE_BYTES", "Sources", "file_stamp", "read_regular"]
