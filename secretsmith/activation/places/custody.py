"""Which of the things at custom paths are activation's own, and whether they are as they should be; nothing is written."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from types import MappingProxyType

from secretsmith.activation.accounts import Caller, Ownership
from secretsmith.activation.folders import failed
from secretsmith.activation.generations import InstalledFile
from secretsmith.activation.mounts import Mount, mount_of
from secretsmith.activation.places.acting import place_folder
from secretsmith.activation.places.copies import is_same, refuse_disk, temporary_name
from secretsmith.activation.places.occupants import Occupant, look, occupied
from secretsmith.activation.places.placed import Placed, PlacedPath
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import Manifest, ManifestEntry, Method, is_below

NOTHING: Placed = MappingProxyType({})


class Custody:
    """What is ours at the custom paths of one phase: see :class:`places.Places` for ``before`` and ``others``."""

    def __init__(self, manifest: Manifest, caller: Caller, before: Placed, others: Placed = NOTHING) -> None:
        self._manifest = manifest
        self._caller = caller
        self._before = before
        self._others = others
        self._mounts: dict[int, Mount] = {}
        self.unsafe: dict[str, SecretsmithError] = {}  # path → why a forecast calls it so

    def is_ours(self, path: str, found: Occupant) -> bool:
        """Whether ``found`` may be replaced: a link into our folders, or what was left there and is untouched."""
        if self.earlier(path, found) is not None:
            return True
        return found.text is not None and any(
            is_below(found.text, ours) for ours in (self._manifest.directory, self._manifest.generations)
        )

    def earlier(self, path: str, found: Occupant | None) -> PlacedPath | None:
        """Return what ``found`` is of all that was left there, or None."""
        if found is None:
            return None
        return found.among(self._before.get(path)) or found.among(self._others.get(path))

    def may_own(self, found: Occupant, owner: int | None) -> bool:
        """Whether a link belongs to who may point it elsewhere: in a sticky folder anybody could have planted it."""
        return found.status.st_uid in self._caller.trusted or found.status.st_uid == owner

    def mount(self, folder: int) -> Mount:
        """Return the mount of an open folder; raises OSError."""
        # By device: whether it swaps and where it lies is the filesystem's, not the mount's.
        device = os.fstat(folder).st_dev
        if device not in self._mounts:
            self._mounts[device] = mount_of(folder)
        return self._mounts[device]

    def refusal(self, path: str, found: Occupant | None) -> SecretsmithError:
        """Return why ``found`` is not replaced."""
        return occupied(path, found, self._before.get(path))

    def is_right(self, path: str, entry: ManifestEntry, owner: Ownership) -> bool:
        """Whether ``path`` is as an earlier run left it and as ``entry`` wants it; a copy's bytes are known by its stamp.

        Raises:
            OSError: as the system says.
        """
        item, found = self._before[path], look(path)
        if found is None or item.earlier is not None or found.among(item) is None:
            return False
        if entry.method is Method.LINK:
            return found.text == self._manifest.place_of(entry) and self.may_own(found, owner.uid)
        parent, _, name = path.rpartition("/")
        status = found.status
        return (
            (status.st_uid, status.st_gid) == (owner.uid, owner.gid)
            and stat.S_IMODE(status.st_mode) == entry.mode_bits
            and look(f"{parent}/{temporary_name(name)}") is None
            and (entry.plaintext_on_disk or not self._may_swap(parent or "/"))
        )

    def forecast(
        self, wanted: Mapping[str, tuple[ManifestEntry, InstalledFile | None]]
    ) -> list[tuple[str, str]]:
        """Return (path, what will be done) for each path that is not as it should be (places.Places.forecast)."""
        found: list[tuple[str, str]] = []
        for path, (entry, file) in wanted.items():
            try:
                verb = self._foresee(path, entry, file)
            except OSError as error:
                verb, self.unsafe[path] = "unsafe", failed(error, path)
            except SecretsmithError as error:
                verb, self.unsafe[path] = "unsafe", error
            if verb is not None:
                found.append((path, verb))
        found += [
            (path, "remove") for path in sorted(self._before.keys() - wanted.keys()) if self._goes(path)
        ]
        return found

    def _foresee(self, path: str, entry: ManifestEntry, file: InstalledFile | None) -> str | None:
        if file is None:
            found = look(path)
            return self._verb(path, entry, found, same=found is not None and self._is_copy_of(path, found))
        parent, _, name = path.rpartition("/")
        ask = self.mount if entry.method is Method.COPY else id  # as root: see places.Places
        try:
            with place_folder(parent, file.ownership, self._caller, first=ask) as folder:
                if entry.method is Method.COPY and not entry.plaintext_on_disk:
                    refuse_disk(self.mount(folder.fd), path)
                found = look(name, folder.fd)
                same = found is not None and found.is_plain and is_same(folder.fd, name, file, found.status)
        except SecretsmithError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            if entry.method is Method.COPY and not entry.plaintext_on_disk:
                self.refuse_disk_above(parent, path)
            found, same = None, False
        return self._verb(path, entry, found, same=same)

    def refuse_disk_above(self, parent: str, path: str) -> None:
        """Raise PATH_UNSAFE if a folder that is still to be made for a copy at ``path`` would be on a disk, before it is made.

        What is made is checked again, by descriptor. Raises OSError.
        """
        if os.path.lexists(parent):
            return
        while not os.path.lexists(parent):
            parent = os.path.dirname(parent)
        folder = os.open(parent, os.O_PATH | os.O_CLOEXEC)
        try:
            refuse_disk(self.mount(folder), path)
        finally:
            os.close(folder)

    def _verb(self, path: str, entry: ManifestEntry, found: Occupant | None, *, same: bool) -> str | None:
        if found is None:
            return str(entry.method)
        if entry.method is Method.COPY and same:
            return None
        if not self.is_ours(path, found):
            return "occupied"
        if entry.method is Method.LINK and found.text == self._manifest.place_of(entry):
            return None
        return "replace"

    def _is_copy_of(self, path: str, found: Occupant) -> bool:
        return found.text is None and found.among(self._before.get(path)) is not None

    def _may_swap(self, parent: str) -> bool:
        folder = os.open(parent, os.O_PATH | os.O_CLOEXEC)
        try:
            return self.mount(folder).may_swap
        finally:
            os.close(folder)

    def _goes(self, path: str) -> bool:
        try:
            found = None if path in self._others else look(path)
        except OSError:
            return False
        return found is not None and found.among(self._before[path]) is not None


__all__ = ["NOTHING", "Custody"]
