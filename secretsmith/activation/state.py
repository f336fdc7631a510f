"""What activation remembers between runs: ``state.json`` beside the generations, so in memory and gone at reboot.

It holds names, numbers and digests of *encrypted* files, never anything of a value.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping

from secretsmith.activation.folders import read_small, replace_file
from secretsmith.activation.places.placed import Placed, placed_from_tree, placed_tree
from secretsmith.activation.units.changes import NO_CHANGES, UnitChanges
from secretsmith.manifest.patterns import COMPILED
from secretsmith.record import field, record, replace

STATE_FILE = "state.json"
_VERSION = 1
_MAX_BYTES = 32 * 1024 * 1024
_MAX_RECORDS = 16 * 1024 * 1024  # characters: some 70,000 files of all generations together


@record
class Moment:
    """A point in time: ``wall`` (seconds since 1970) is for people, ``boot`` (seconds since boot) for differences.

    At early boot the wall clock may say 1970 and jump later; state lives in memory, so it never outlives a boot.
    """

    wall: float
    boot: float
    up: float = 0.0
    """Seconds since boot without those asleep (CLOCK_MONOTONIC), as systemd says when a unit started."""

    @classmethod
    def now(cls) -> Moment:
        """Read all clocks."""
        return cls(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())


@record
class Installed:
    """What is known of one file of a generation. ``stale_since`` is None for a value that is up to date.

    ``written`` is when its bytes, owner or mode last changed. ``ours``: they are not what its owner may have made of them.
    """

    id: str
    key: str | None
    stale_since: Moment | None = None
    written: Moment | None = None
    stamp: list[int] = field(default_factory=list)
    ours: bool = True


@record
class Record:
    """What one generation was made from. ``complete``: everything after the switch was done as well, without failure."""

    inputs: str
    complete: bool
    files: Mapping[str, Installed]


@record
class HostState:
    """Records by generation, what activation left at custom paths, and units that are still to be told."""

    records: Mapping[int, Record] = field(default_factory=dict)
    placed: Placed = field(default_factory=dict)
    pending: UnitChanges = NO_CHANGES

    def keeping(self, numbers: Iterable[int]) -> HostState:
        """Return the state without records of generations that are gone."""
        wanted = set(numbers)
        return replace(self, records={n: r for n, r in self.records.items() if n in wanted})


def load_state(folder: int) -> HostState | None:
    """Read the state from the folder of generations; an empty one if there is none, None if it is not readable as one."""
    data = read_small(folder, STATE_FILE, _MAX_BYTES)
    if data is None:
        return HostState()
    try:
        tree = json.loads(data)
        if tree["version"] != _VERSION:
            return None
        records = {int(number): _record(record) for number, record in tree["records"].items()}
        return HostState(records, placed_from_tree(tree["placed"]), _changes(tree["pending"]))
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, OSError, RecursionError):
        return None


def save_state(folder: int, state: HostState) -> None:
    """Write the state by one rename, mode 0600; raises OSError.

    Where many large generations are kept, the oldest are left out: a larger file would not be read again.
    """
    tree = {
        "version": _VERSION,
        "records": _record_trees(state.records),
        "placed": placed_tree(state.placed),
        "pending": {"restart": sorted(state.pending.restart), "reload": sorted(state.pending.reload)},
    }
    replace_file(folder, STATE_FILE, json.dumps(tree).encode(), mode=0o600)


def _record_trees(records: Mapping[int, Record]) -> dict[str, object]:
    found: dict[str, object] = {}
    size = 0
    for place, number in enumerate(sorted(records, reverse=True)):
        tree = _record_tree(records[number])
        size += len(json.dumps(tree))
        if place > 1 and size > _MAX_RECORDS:  # the live one is the first or the second
            break
        found[str(number)] = tree
    return found


def _record_tree(record: Record) -> dict[str, object]:
    files = {
        name: {
            "id": item.id,
            "key": item.key,
            "stale_since": _moment_tree(item.stale_since),
            "written": _moment_tree(item.written),
            "stamp": item.stamp,
            "ours": item.ours,
        }
        for name, item in record.files.items()
    }
    return {"inputs": record.inputs, "complete": record.complete, "files": files}


def _record(tree: Mapping[str, object]) -> Record:
    files = tree["files"]
    if not isinstance(files, dict):
        raise TypeError
    return Record(
        str(tree["inputs"]),
        tree["complete"] is True,
        {_checked("entry", name): _installed(item) for name, item in files.items()},
    )


def _installed(tree: Mapping[str, object]) -> Installed:
    since, written, key, stamp = tree["stale_since"], tree["written"], tree["key"], tree["stamp"]
    if not isinstance(stamp, list):
        raise TypeError
    return Installed(
        id=str(tree["id"]),
        key=None if key is None else str(key),
        stale_since=_moment(since) if isinstance(since, dict) else None,
        written=_moment(written) if isinstance(written, dict) else None,
        stamp=[int(number) for number in stamp],
        ours=tree["ours"] is True,
    )


def _moment_tree(moment: Moment | None) -> dict[str, float] | None:
    return None if moment is None else {"wall": moment.wall, "boot": moment.boot, "up": moment.up}


def _moment(tree: Mapping[str, object]) -> Moment:
    wall, boot, up = (float(str(tree[name])) for name in ("wall", "boot", "up"))
    time.gmtime(
        wall
    )  # status.json says it as a date; what is none raises ValueError, OverflowError or OSError
    if not math.isfinite(boot) or not math.isfinite(up):
        raise ValueError
    return Moment(wall, boot, up)


def _changes(tree: Mapping[str, object]) -> UnitChanges:
    lists = []
    for name in ("restart", "reload"):
        units = tree[name]
        if not isinstance(units, list):
            raise TypeError
        lists.append(frozenset(_checked("unit", unit) for unit in units))
    return UnitChanges(*lists)


def _checked(kind: str, text: object) -> str:
    # By the manifest's own patterns, as only names and paths of manifests are ever recorded.
    if not isinstance(text, str) or not COMPILED[kind].match(text):
        raise TypeError
    text.encode()  # half characters of JSON escapes are no file name: ValueError
    return text


__all__ = ["STATE_FILE", "HostState", "Installed", "Moment", "Record", "load_state", "save_state"]
