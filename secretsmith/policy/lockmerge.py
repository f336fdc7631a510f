"""Merging two locks that grew apart in git.

The rules err on the side of knowing less and owing more: an entry that both sides changed keeps its file and loses what
it claimed, and a debt disappears only when one side saw it paid and nobody else touched that file.
"""

from __future__ import annotations

import json
from typing import TypeVar

from secretsmith.errors import Code, Conflict, RefusedInput
from secretsmith.policy.lock import (
    LOCK_NAME,
    LOCK_VERSION,
    NO_DIGEST,
    Debt,
    Link,
    Lock,
    LockEntry,
    dump_lock,
    parse_lock,
)
from secretsmith.record import replace

_T = TypeVar("_T")
# The lines of dump_lock that are neither key nor value.
_FRAME = {
    "{",
    "}",
    "},",
    "]",
    "],",
    ",",
    f'"version": {LOCK_VERSION},',
    '"files": {',
    '"debt": [',
    '"links": {',
}
_STRENGTH = {"assumed": 0, "opened": 1, "wrote": 2}


def merge_locks(base: Lock | None, ours: Lock, theirs: Lock) -> Lock:
    """Merge three ways; without a ``base`` nothing counts as removed.

    Files: the side that changed wins; changed differently on both, the entry is kept as assumed, with no recipients and
    :data:`~secretsmith.policy.lock.NO_DIGEST`. Debt: the union, less what one side removed since ``base``, unless both
    changed that file. Links: as files; two changes leave our source with an unknown digest, so the next sync looks again.
    """
    files: dict[str, LockEntry] = {}
    contested: set[str] = set()
    for path in sorted({*ours.files, *theirs.files}):
        mine, other = ours.files.get(path), theirs.files.get(path)
        before = base.files.get(path) if base else None
        decided, entry = _one_side(base is not None, before, mine, other)
        if not decided:
            contested.add(path)
            entry = _doubtful(mine, other)
        if entry:
            files[path] = entry
    return Lock(files, _merge_debt(base, ours, theirs, contested), _merge_links(base, ours, theirs))


def _one_side(
    three_way: bool, before: _T | None, mine: _T | None, other: _T | None
) -> tuple[bool, _T | None]:
    """Take the side that alone changed (None: it removed the thing); (False, None) when both did."""
    if mine == other:
        return True, mine
    if three_way and before in (mine, other):
        return True, other if mine == before else mine
    if not three_way and (mine is None or other is None):
        return True, mine or other
    return False, None


def _doubtful(mine: LockEntry | None, other: LockEntry | None) -> LockEntry:
    exposed = any(entry.key_exposed for entry in (mine, other) if entry)
    if mine and other and (mine.sha256, mine.recipients) == (other.sha256, other.recipients):
        best = max((mine, other), key=lambda entry: _STRENGTH[entry.basis])
        return replace(best, key_exposed=exposed)
    return LockEntry(NO_DIGEST, (), "assumed", exposed)


def _merge_debt(base: Lock | None, ours: Lock, theirs: Lock, contested: set[str]) -> tuple[Debt, ...]:
    both = {*ours.debt} & {*theirs.debt}
    removed = {record for record in base.debt if record not in both} if base else set()
    kept = (
        record
        for record in {*ours.debt, *theirs.debt}
        # Paid on one side while the other wrote the file too: whose value is in the merged file, nobody knows here.
        if record not in removed or record.path in contested
    )
    return Lock().with_debt(kept).debt


def _merge_links(base: Lock | None, ours: Lock, theirs: Lock) -> dict[str, Link]:
    links: dict[str, Link] = {}
    for path in sorted({*ours.links, *theirs.links}):
        mine, other = ours.links.get(path), theirs.links.get(path)
        before = base.links.get(path) if base else None
        decided, link = _one_side(base is not None, before, mine, other)
        if not decided and (kept := mine or other):
            link = replace(kept, store_digest="")
        if link:
            links[path] = link
    return links


def merge_conflicted(text: str, name: str = LOCK_NAME) -> str:
    """Return the text of a lock as git left it, merged: with conflict markers (merge, diff3 or zdiff3 style) or without.

    A line merge that git thought clean can still hold one file twice (one side renamed what the other added); such an
    entry claims nothing afterwards. A sound lock comes back in canonical form.

    Raises:
        Conflict: CONFLICT, the markers are incomplete, or what is between them is no lock.
        RefusedInput: LOCK_SCHEMA, there are no markers and it is no lock.
    """
    sides = _sides(text.split("\n"), name)
    if sides is None:
        return dump_lock(_parse_leniently(text.split("\n"), name))
    before, mine, other = sides
    try:
        ours, theirs = (_parse_leniently(side, name) for side in (mine, other))
    except RefusedInput as error:
        raise _broken(name, f"one side of the conflict is not a lock ({error.message})") from None
    try:
        base = _parse_leniently(before, name) if before is not None else None
    except (RefusedInput, Conflict):
        base = None  # a criss-cross merge leaves nested markers in the base; without one nothing is lost
    return dump_lock(merge_locks(base, ours, theirs))


def _broken(name: str, what: str) -> Conflict:
    return Conflict(
        Code.CONFLICT,
        f"{name}: {what}",
        hints=(
            f"make git write the conflict again: git checkout --merge -- {name}",
            "secretsmith lock --merge",
        ),
        path=name,
    )


def _sides(lines: list[str], name: str) -> tuple[list[str] | None, list[str], list[str]] | None:
    """Take the text apart into base, ours and theirs; None without markers, base None when a conflict shows none."""
    texts: dict[str, list[str]] = {"ours": [], "base": [], "theirs": []}
    state, conflicts, bases = "", 0, 0
    # What each marker needs before it, and what it begins.
    steps = {
        "<<<<<<<": (("",), "ours"),
        "|||||||": (("ours",), "base"),
        "=======": (("ours", "base"), "theirs"),
        ">>>>>>>": (("theirs",), ""),
    }
    for line in lines:
        marker = line.split(" ", 1)[0].rstrip("\r")
        if marker not in steps:
            for side in texts if state == "" else (state,):
                texts[side].append(line)
            continue
        allowed, following = steps[marker]
        if state not in allowed:
            raise _broken(name, "the conflict markers are incomplete")
        conflicts += marker == "<<<<<<<"
        bases += marker == "|||||||"
        state = following
    if state:
        raise _broken(name, "the conflict markers are incomplete")
    if not conflicts:
        return None
    return (texts["base"] if bases == conflicts else None), texts["ours"], texts["theirs"]


def _parse_leniently(lines: list[str], name: str) -> Lock:
    """Read a lock; if it is none, its lines one by one: git may have put a side's brackets and commas in odd places."""
    try:
        return parse_lock("\n".join(lines), name)
    except RefusedInput as error:
        try:
            return parse_lock(_from_lines(lines), name)
        except (RefusedInput, ValueError, RecursionError):
            raise error from None


def _from_lines(lines: list[str]) -> str:
    """Put the entries of a lock together from its lines; ValueError when a line is none that :func:`dump_lock` writes."""
    kept = [stripped for line in lines if (stripped := line.strip()) and stripped not in _FRAME]
    files: dict[str, dict[str, object]] = {}
    links: dict[str, dict[str, object]] = {}
    debt: list[object] = []
    key: str | None = None
    for line in kept:
        if key is None and line.endswith('":'):
            key = str(json.loads(line[:-1]))
            continue
        value = json.loads(line)
        if not isinstance(value, dict):
            raise ValueError(line)
        if key is None:
            debt.append(value)
        elif "sha256" in value:
            twice = key in files and files[key] != value
            files[key] = (
                {**value, "sha256": NO_DIGEST, "recipients": [], "basis": "assumed"} if twice else value
            )
        else:
            links[key] = {**value, "store_digest": ""} if key in links and links[key] != value else value
        key = None
    if key is not None:
        raise ValueError(key)
    return json.dumps({"version": LOCK_VERSION, "files": files, "debt": debt, "links": links})


__all__ = ["merge_conflicted", "merge_locks"]
