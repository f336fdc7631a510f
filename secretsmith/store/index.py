"""The stat index: a file whose status is what it was needs no reading to know its digest (git's idea, and git's race)."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from secretsmith.errors import SecretsmithError
from secretsmith.store.atomic import write_atomic
from secretsmith.store.failures import translated
from secretsmith.store.paths import opened_parent, relative
from secretsmith.store.regular import digest_open, not_regular, open_regular, read_all

VERSION: Final = 1
INDEX_FILE: Final = "index.json"
_MAX_BYTES: Final = 256 * 1024 * 1024
# A file changed again within one tick of the filesystem's clock keeps its status (git: Documentation/technical/racy-git).
# Two seconds cover FAT, the coarsest; a younger file is hashed again next time, which costs microseconds.
RACY_NS: Final = 2_000_000_000
# A change time with digits below a hundredth of a second comes from a filesystem that stamps with the kernel's tick, which
# is that at most; nobody can set a change time. Where it stood still for five ticks, a later change shows.
_TICK_NS: Final = 10_000_000
SETTLED_SECONDS: Final = 0.05

# dev, ino, size, mtime_ns, ctime_ns, sha256, and 1 if it was not racy when seen; as JSON gives it, so that loading 10,000
# of them converts nothing.
_Record = list[Any]


class StatIndex:
    """Digests of files by path, kept in the state folder. A new one without :meth:`load` is empty and hashes everything.

    ``hashed`` counts the files read so far.
    """

    def __init__(
        self, state_dir: Path, records: dict[str, _Record] | None = None, written_ns: int = 0
    ) -> None:
        self._path = state_dir / INDEX_FILE
        self._loaded: dict[str, _Record] = {} if records is None else records
        self._horizon = written_ns - RACY_NS
        self._now: dict[str, _Record] = {}
        self._racy: set[str] = set()
        self._dirty = False
        self.hashed = 0

    @classmethod
    def load(cls, state_dir: Path) -> StatIndex:
        """Read the index; a missing, damaged or foreign one is an empty one, as everything in it can be found out anew."""
        path = state_dir / INDEX_FILE
        try:
            descriptor = open_regular(os.fspath(path), str(path))
        except SecretsmithError:
            return cls(state_dir)
        try:
            written_ns = os.fstat(descriptor).st_mtime_ns
            data = read_all(descriptor, str(path), _MAX_BYTES)
        except SecretsmithError:
            return cls(state_dir)
        finally:
            os.close(descriptor)
        return cls(state_dir, _parsed(data), written_ns)

    def digest(self, root: Path, relpath: str) -> str:
        """Return the sha256, in hex, of the file ``relpath`` below ``root``: one lstat when it is unchanged.

        Raises:
            NotFound: there is no such file.
            RefusedInput: NOT_REGULAR, SYMLINK, NAME, NAME_CLASH.
            SecretsmithError: ACCESS, IO.
        """
        try:
            status = os.lstat(f"{os.fspath(root)}/{relpath}")
        except (OSError, ValueError) as error:
            self._forget(relpath)
            if isinstance(error, OSError):
                raise translated(error, relpath) from error
            relative(relpath)  # says what is wrong with the name
            raise
        if not stat.S_ISREG(status.st_mode):
            raise not_regular(status.st_mode, relpath)
        key = _key(status)
        record = self._now.get(relpath)
        if record is not None and record[:5] == key:
            return str(record[5])
        known = self._known(relpath, key)
        return self._hash(root, relpath) if known is None else known

    def _known(self, relpath: str, key: list[int]) -> str | None:
        record: object = self._loaded.get(relpath)
        if (
            not isinstance(record, list)
            or len(record) not in (6, 7)
            or record[:5] != key
            or not isinstance(record[5], str)
        ):
            return None
        # One half of git's rule: what changed at about the time the index was written may have changed again.
        if not record[6:] and max(key[3], key[4]) >= self._horizon:
            return None
        self._now[relpath] = record
        return record[5]

    def _hash(self, root: Path, relpath: str) -> str:
        path = relative(relpath)
        with opened_parent(root, path) as (folder, name):
            descriptor = open_regular(name, relpath, folder=folder)
            try:
                # Status before content: a change while we read shows as another status next time.
                key = _key(os.fstat(descriptor))
                started = time.time_ns()
                digest = digest_open(descriptor, relpath)
            finally:
                os.close(descriptor)
        self.hashed += 1
        self._dirty = True
        self._now[relpath] = [*key, digest]
        # The other half: judged by the time we looked, as the index may be written long after.
        if max(key[3], key[4]) >= started - RACY_NS:
            self._racy.add(relpath)
        else:
            self._racy.discard(relpath)
        return digest

    def _forget(self, relpath: str) -> None:
        if self._loaded.pop(relpath, None) is not None or self._now.pop(relpath, None) is not None:
            self._dirty = True

    def learn(self, root: Path, relpaths: Iterable[str]) -> None:
        """Look at files that were just written, and all others that were too young to be sure of, and :meth:`save`.

        The next command then needs no more than their status. A file that has the same status after a pause, on a filesystem whose clock ticks faster than that, is not racy,
        however young it is. No other clock is asked: it may be another computer's. A file that is gone is left out.
        """
        paths = {*relpaths, *self._racy}
        before = {path: key for path in sorted(paths) if (key := _key_of(root, path)) is not None}
        if not before:
            return
        time.sleep(SETTLED_SECONDS)
        for path, key in before.items():
            with suppress(SecretsmithError):
                self._hash(root, path)  # what is known from before the pause is not enough
            record = self._now.get(path)
            if record is not None and record[:5] == key and key[4] % _TICK_NS:
                self._now[path] = [*record[:6], 1]
                self._racy.discard(path)
                self._dirty = True
        self.save()

    def save(self) -> None:
        """Write what was learnt. A state folder that cannot be written is no error: the next run looks again."""
        if not self._dirty:
            return
        import json  # only when something was hashed

        records = {**self._loaded, **self._now}
        for path in self._racy:
            records.pop(path, None)
        text = json.dumps({"version": VERSION, "files": records}, separators=(",", ":"))
        try:
            write_atomic(self._path, text.encode(), mode=0o600, durable=False)
        except SecretsmithError:
            return
        self._dirty = False


def _key_of(root: Path, relpath: str) -> list[int] | None:
    try:
        return _key(os.lstat(f"{os.fspath(root)}/{relpath}"))
    except (OSError, ValueError):
        return None


def _key(status: os.stat_result) -> list[int]:
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _parsed(data: bytes) -> dict[str, _Record]:
    import json  # the caller has an index to read

    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or found.get("version") != VERSION:
        return {}
    files = found.get("files")
    return files if isinstance(files, dict) else {}


__all__ = ["StatIndex"]
