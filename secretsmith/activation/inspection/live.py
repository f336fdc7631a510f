"""The live generation of a phase as it lies there, whoever changed it since; nothing is written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping

from secretsmith.activation.folders import open_folder
from secretsmith.activation.generations import InstalledFile, Reader
from secretsmith.activation.phase import Standing
from secretsmith.activation.state import Installed, Moment
from secretsmith.record import field, record

_OTHERS_WRITE = 0o022


@record
class LiveFile:
    """A file: what is there (None if nothing, or no regular file), its stamp, and what was recorded when it was written."""

    file: InstalledFile | None = None
    stamp: list[int] | None = None
    installed: Installed | None = None

    @property
    def was_touched(self) -> bool:
        """Whether anybody but activation wrote, removed or changed it."""
        return self.installed is not None and self.stamp != self.installed.stamp

    @property
    def written(self) -> Moment | None:
        """When its bytes, owner or mode last changed by activation."""
        return self.installed.written if self.installed is not None else None


@record
class LiveGeneration:
    """The generation that the live link points to.

    ``foreign`` are names that nobody declared or recorded; ``writable`` folders (with their owner and mode) in which others
    than activation could exchange files; ``gone``: the link points to nothing.
    """

    number: int | None
    files: Mapping[str, LiveFile] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    writable: tuple[tuple[str, str], ...] = ()
    gone: bool = False

    def of(self, name: str) -> LiveFile:
        """Return what is known of one name."""
        return self.files.get(name, LiveFile())


def read_live(standing: Standing, folder: int | None, live: int | None, uid: int) -> LiveGeneration:
    """Read generation ``live`` from the open ``folder``; ``uid`` is whose its folders are to be.

    Raises:
        OSError: as the system says.
    """
    if live is None:
        return LiveGeneration(None)
    if folder is None:
        return LiveGeneration(live, gone=True)
    try:
        generation = open_folder(folder, str(live))
    except OSError:
        return LiveGeneration(live, gone=True)
    try:
        writable = tuple(_writable(generation, "", uid))
    finally:
        os.close(generation)
    record = standing.state.records.get(live)
    recorded = record.files if record is not None else {}
    known = {entry.name for entry in standing.manifest.entries()} | recorded.keys()
    reader = Reader(folder, live)
    files = {
        name: LiveFile(reader.file(name), reader.stamp(name), recorded.get(name)) for name in sorted(known)
    }
    return LiveGeneration(live, files, tuple(sorted(reader.names() - known)), writable)


def _writable(folder: int, prefix: str, uid: int) -> Iterator[tuple[str, str]]:
    found = os.fstat(folder)
    if found.st_uid != uid or found.st_mode & _OTHERS_WRITE:
        yield prefix, f"user {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}"
    with os.scandir(folder) as entries:
        below = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for name in below:
        opened = open_folder(folder, name)
        try:
            yield from _writable(opened, f"{prefix}/{name}", uid)
        finally:
            os.close(opened)


__all__ = ["LiveFile", "LiveGeneration", "read_live"]
