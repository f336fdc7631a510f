"""Custom paths: a link or a copy from where a program looks, and the end of those that nobody wants any more.

The order is that of the engine. :meth:`Places.prepare` writes copies beside their places, :meth:`Places.intended` is
recorded, the live link moves, and :meth:`Places.commit` renames and removes. Whatever is killed in between, the record
knows all that may lie anywhere.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping

from secretsmith.activation.accounts import Caller, Ownership
from secretsmith.activation.folders import Folder, failed, remove_if_there
from secretsmith.activation.generations import InstalledFile
from secretsmith.activation.places.acting import place_folder
from secretsmith.activation.places.copies import is_same, refuse_disk, sync_folder, temporary_name, write_copy
from secretsmith.activation.places.custody import NOTHING, Custody
from secretsmith.activation.places.occupants import changed, look
from secretsmith.activation.places.placed import Placed, PlacedPath, stamp_of
from secretsmith.activation.places.renames import move_new, move_over
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import Manifest, ManifestEntry, Method
from secretsmith.record import record, replace


@record(frozen=False)
class _Plan:
    """What becomes of one path. ``kept``: it lies there already. ``sync``: the folder is on a disk."""

    entry: str
    owner: Ownership
    placed: PlacedPath
    earlier: PlacedPath | None = None
    kept: bool = False
    sync: bool = False
    done: bool = False


class Places:
    """The custom paths of one phase.

    ``before`` is what earlier runs left for this phase. ``others`` is what is recorded now of the other phases: an entry
    that changed its phase may replace that, and it is never removed here.
    """

    def __init__(self, manifest: Manifest, caller: Caller, before: Placed, others: Placed = NOTHING) -> None:
        self._manifest = manifest
        self._caller = caller
        self._before = before
        self._others = others
        self._custody = Custody(manifest, caller, before, others)
        self._plans: dict[str, _Plan] = {}
        self._wanted: set[str] = set()
        self._stuck: dict[str, SecretsmithError] = {}

    def is_in_place(self, entries: Iterable[tuple[ManifestEntry, Ownership]]) -> bool:
        """Whether placing these entries, all that there are, would change and remove nothing.

        It is looked at from outside, without walking there; copies are known by their stamps.
        """
        wanted = {entry.path: (entry, owner) for entry, owner in entries if entry.path is not None}
        try:
            return wanted.keys() == self._before.keys() and all(
                self._custody.is_right(path, entry, owner) for path, (entry, owner) in wanted.items()
            )
        except OSError:
            return False

    def announced(self) -> Placed:
        """Return ``before`` and where :meth:`prepare` may write; recorded before that, half a copy is found after any kill."""
        copies = (entry.path for entry in self._manifest.entries() if entry.method is Method.COPY)
        return {**{path: PlacedPath() for path in copies if path is not None}, **self._before}

    def prepare(self, files: Iterable[tuple[ManifestEntry, InstalledFile]]) -> dict[str, SecretsmithError]:
        """Write copies beside their places, and plan the links. ``files`` is all that this run installs.

        Returns entry name → why, for those that cannot be placed; what lies at their paths stays.
        """
        failures: dict[str, SecretsmithError] = {}
        for entry, file in files:
            if entry.path is None:
                continue
            self._wanted.add(entry.path)
            try:
                with _told(entry.path):
                    plan = self._plan_link if entry.method is Method.LINK else self._plan_copy
                    self._plans[entry.path] = plan(entry, entry.path, file)
            except SecretsmithError as error:
                failures[entry.name] = error
        return failures

    def intended(self) -> Placed:
        """Return what may lie at any path once :meth:`commit` has begun; recorded before that."""
        plans = {
            path: replace(plan.placed, earlier=plan.earlier if plan.earlier != plan.placed else None)
            for path, plan in self._plans.items()
        }
        return {**self._before, **plans}

    def commit(self) -> dict[str, SecretsmithError]:
        """Put links and copies into place, and remove what is no longer wanted if it is ours and untouched.

        Returns entry name → why, for those that were not placed; see :attr:`stuck` for those that were not removed.
        """
        failures: dict[str, SecretsmithError] = {}
        for path, plan in self._plans.items():
            try:
                with _told(path):
                    self._place(path, plan)
            except SecretsmithError as error:
                failures[plan.entry] = error
        for path in self._before.keys() - self._wanted - self._others.keys():
            try:
                with _told(path):
                    self._remove(path, self._before[path])
            except SecretsmithError as error:
                self._stuck[path] = error
        return failures

    def left(self) -> Placed:
        """Return what to remember after :meth:`commit`: what was placed, what could not be, and what could not be removed."""
        stay = {p: item for p, item in self._before.items() if p in self._stuck or p in self._wanted}
        # Where its folder could not be entered any more, what prepare() wrote still lies there.
        halves = {
            path: PlacedPath()
            for path, plan in self._plans.items()
            if plan.placed.stamp is not None and not plan.done
        }
        return {**halves, **stay, **{path: plan.placed for path, plan in self._plans.items() if plan.done}}

    @property
    def stuck(self) -> dict[str, SecretsmithError]:
        """Path → why, for what could not be removed and must be tried again."""
        return dict(self._stuck)

    def discard(self) -> None:
        """Remove the copies that :meth:`prepare` wrote and :meth:`commit` did not rename; never raises."""
        for path, plan in self._plans.items():
            if plan.placed.stamp is not None and not plan.kept and not plan.done:
                parent, _, name = path.rpartition("/")
                with (
                    contextlib.suppress(OSError, SecretsmithError),
                    place_folder(parent, plan.owner, self._caller) as folder,
                ):
                    remove_if_there(folder.fd, temporary_name(name))

    def forecast(
        self, files: Iterable[tuple[ManifestEntry, InstalledFile]] | None = None
    ) -> list[tuple[str, str]]:
        """Return (path, "link", "copy", "replace", "remove", "occupied" or "unsafe") for each path that is not as it should be.

        Nothing is written. Without ``files`` every entry is taken to have one, and an untouched copy to hold it.
        """
        pairs = [(entry, None) for entry in self._manifest.entries()] if files is None else [*files]
        return self._custody.forecast(
            {entry.path: (entry, f) for entry, f in pairs if entry.path is not None}
        )

    @property
    def unsafe(self) -> Mapping[str, SecretsmithError]:
        """Path → why the last :meth:`forecast` says "unsafe" of it."""
        return self._custody.unsafe

    def _plan_link(self, entry: ManifestEntry, path: str, file: InstalledFile) -> _Plan:
        plan = _Plan(entry.name, file.ownership, PlacedPath(text=self._manifest.place_of(entry)))
        with contextlib.suppress(OSError):  # commit will say it
            plan.earlier = self._custody.earlier(path, look(path))
        return plan

    def _plan_copy(self, entry: ManifestEntry, path: str, file: InstalledFile) -> _Plan:
        parent, _, name = path.rpartition("/")
        if not entry.plaintext_on_disk:
            self._custody.refuse_disk_above(parent, path)
        # Asked as root: Linux before 5.14 does not tell another user of a process that is not dumpable.
        ask = self._custody.mount
        with place_folder(parent, file.ownership, self._caller, create=True, first=ask) as folder:
            mount = self._custody.mount(folder.fd)
            if not entry.plaintext_on_disk:
                refuse_disk(mount, path)
            found = look(name, folder.fd)
            if found is not None and found.is_plain and is_same(folder.fd, name, file, found.status):
                remove_if_there(folder.fd, temporary_name(name))
                placed = PlacedPath(stamp=stamp_of(found.status))
                return _Plan(entry.name, file.ownership, placed, kept=True)
            if found is not None and not self._custody.is_ours(path, found):
                raise self._custody.refusal(path, found)
            sync = not mount.is_memory
            placed = PlacedPath(stamp=write_copy(folder.fd, name, file, sync=sync))
            return _Plan(entry.name, file.ownership, placed, self._custody.earlier(path, found), sync=sync)

    def _place(self, path: str, plan: _Plan) -> None:
        parent, _, name = path.rpartition("/")
        put = self._put_copy if plan.placed.text is None else self._put_link
        if not plan.kept:
            with place_folder(parent, plan.owner, self._caller, create=put == self._put_link) as folder:
                try:
                    put(folder, path, name, plan)
                except FileExistsError:
                    raise self._custody.refusal(path, look(name, folder.fd)) from None
                finally:
                    with contextlib.suppress(OSError):
                        remove_if_there(folder.fd, temporary_name(name))
        plan.done = True

    def _put_link(self, folder: Folder, path: str, name: str, plan: _Plan) -> None:
        text = plan.placed.text or ""
        found = look(name, folder.fd)
        if found is None:
            # Not "look, then rename over it": what appears in between would be lost.
            os.symlink(text, name, dir_fd=folder.fd)
        elif not self._custody.is_ours(path, found):
            raise self._custody.refusal(path, found)
        elif found.text != text or not self._custody.may_own(found, folder.owner):
            remove_if_there(folder.fd, temporary_name(name))
            os.symlink(text, temporary_name(name), dir_fd=folder.fd)
            self._put_over(folder, path, name)

    def _put_copy(self, folder: Folder, path: str, name: str, plan: _Plan) -> None:
        written = look(temporary_name(name), folder.fd)
        # Who owns the file or the folder can have swapped it since.
        if written is None or not written.among(plan.placed):
            raise _meddled(path)
        if look(name, folder.fd) is None:
            move_new(folder.fd, temporary_name(name), name)
        else:
            self._put_over(folder, path, name)
        if plan.sync:
            sync_folder(folder.fd)
        found = look(name, folder.fd)
        if found is None or not found.among(plan.placed):
            raise _meddled(path)

    def _put_over(self, folder: Folder, path: str, name: str) -> None:
        def is_ours(at: str) -> bool:
            found = look(at, folder.fd)
            return found is not None and self._custody.is_ours(path, found)

        if not is_ours(name) or not move_over(folder.fd, temporary_name(name), name, is_ours):
            raise self._custody.refusal(path, look(name, folder.fd))

    def _remove(self, path: str, item: PlacedPath) -> None:
        parent, _, name = path.rpartition("/")
        found, half = look(path), look(f"{parent}/{temporary_name(name)}")
        if found is not None and not (found.among(item) or found.was_copy(item)):
            found = None  # of somebody else
        lying = found or half
        if lying is None:
            return
        owner = Ownership(lying.status.st_uid, lying.status.st_gid)
        with place_folder(parent, owner, self._caller) as folder:
            remove_if_there(folder.fd, temporary_name(name))
            found = look(name, folder.fd)
            if found is not None and found.among(item):
                os.unlink(name, dir_fd=folder.fd)
            elif found is not None and found.was_copy(item):
                raise changed(path)


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise failed(error, path) from None


def _meddled(path: str) -> SecretsmithError:
    text = f"{path}: what activation wrote there was swapped meanwhile"
    return SecretsmithError(Code.CHANGED, text, hints=("see who else writes in that folder",), path=path)


__all__ = ["Places"]
