"""Merging locks: the rules, and real git merges of files that grew apart."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from locks import FINGERPRINTS, digest, locks

from secretsmith.errors import Code, Conflict, RefusedInput
from secretsmith.policy.lock import (
    NO_DIGEST,
    Debt,
    Link,
    Lock,
    LockEntry,
    dump_lock,
    has_conflict_markers,
    parse_lock,
)
from secretsmith.policy.lockmerge import merge_conflicted, merge_locks
from secretsmith.record import replace


def entry(number: int, basis: str = "wrote") -> LockEntry:
    return LockEntry(digest(number), (FINGERPRINTS[number % 6],), basis)  # type: ignore[arg-type]


def named(*names: str) -> Lock:
    return Lock().with_files({f"secrets/{name}.age": entry(index) for index, name in enumerate(names)})


A, B, C, D = (f"secrets/{name}.age" for name in "abcd")
OWED = Debt(A, None, "web1", "retired", "2026-01-02")


# --- the rules -----------------------------------------------------------------------------------------------------


def test_the_side_that_changed_wins() -> None:
    base = named("a", "b", "c")
    ours = base.with_file(A, entry(10)).without_file(C)
    theirs = base.with_file(B, entry(11)).with_file(D, entry(12))
    merged = merge_locks(base, ours, theirs)
    assert merged.files == {A: entry(10), B: entry(11), D: entry(12)}


def test_changed_on_both_sides_the_entry_claims_nothing() -> None:
    base = named("a")
    exposed = replace(entry(11), key_exposed=True)
    merged = merge_locks(base, base.with_file(A, entry(10)), base.with_file(A, exposed))
    assert merged.files == {A: LockEntry(NO_DIGEST, (), "assumed", key_exposed=True)}


def test_removed_here_and_changed_there_the_entry_claims_nothing() -> None:
    base = named("a")
    merged = merge_locks(base, Lock(), base.with_file(A, entry(10)))
    assert merged.files == {A: LockEntry(NO_DIGEST)}


def test_the_same_file_known_for_two_reasons_keeps_the_stronger() -> None:
    base, ours, theirs = Lock(), Lock({A: entry(1, "opened")}), Lock({A: entry(1, "wrote")})
    assert merge_locks(base, ours, theirs).files == {A: entry(1, "wrote")}


def test_debt_is_the_union_less_what_one_side_paid() -> None:
    other = replace(OWED, principal="bob")
    base = named("a").with_debt([OWED])
    ours = base.with_file(A, entry(10)).without_debt(lambda record: True)
    theirs = base.with_debt([other])
    assert merge_locks(base, ours, theirs).debt == (other,)
    assert set(merge_locks(None, ours, theirs).debt) == {OWED, other}


def test_debt_paid_on_one_side_stays_when_both_wrote_the_file() -> None:
    base = named("a").with_debt([OWED])
    ours = base.with_file(A, entry(10)).without_debt(lambda record: True)
    theirs = base.with_file(A, entry(11))
    assert merge_locks(base, ours, theirs).debt == (OWED,)
    assert merge_locks(base, theirs, ours).debt == (OWED,)


def test_links_merge_three_ways_and_two_changes_leave_an_unknown_digest() -> None:
    link = Link("pass:a", digest(1), "alice")
    base = Lock().with_link(A, link).with_link(B, link)
    ours = base.with_link(A, replace(link, store_digest=digest(2))).without_link(B)
    assert merge_locks(base, ours, base).links == ours.links
    assert merge_locks(base, base, ours).links == ours.links
    theirs = base.with_link(A, Link("pass:evil", digest(3), "mallory"))
    assert merge_locks(base, ours, theirs).links[A] == replace(link, store_digest="")


@given(locks(), locks(), locks())
def test_laws_of_merging(base: Lock, ours: Lock, theirs: Lock) -> None:
    merged = merge_locks(base, ours, theirs)
    swapped = merge_locks(base, theirs, ours)
    assert (merged.files, merged.debt) == (swapped.files, swapped.debt)
    assert merge_locks(base, ours, base) == ours == merge_locks(base, base, ours)
    assert merge_locks(None, ours, ours) == ours
    # No side's new debt is lost, and no claim is made that neither side made.
    for record in {*ours.debt, *theirs.debt} - {*base.debt}:
        assert any(
            replace(kept, since=record.since) == record and kept.since >= record.since for kept in merged.debt
        )
    for path, found in merged.files.items():
        made = {
            (side.files[path].sha256, side.files[path].recipients)
            for side in (ours, theirs)
            if path in side.files
        }
        assert not found.recipients or (found.sha256, found.recipients) in made
    assert parse_lock(dump_lock(merged)) == merged


# --- real git ------------------------------------------------------------------------------------------------------


class GitRepository:
    """A repository with one lock on three commits: base, ours (main) and theirs (topic)."""

    def __init__(self, git: str, folder: Path) -> None:
        self.git_program, self.folder = git, folder
        self.lock = folder / "secretsmith.lock"
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, check: bool = True) -> int:
        command = [self.git_program, "-C", str(self.folder), *arguments]
        return subprocess.run(command, check=check, capture_output=True).returncode

    def commit(self, lock: Lock) -> None:
        self.lock.write_text(dump_lock(lock))
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")

    def merge(self, base: Lock, ours: Lock, theirs: Lock, style: str = "merge") -> bool:
        """Merge topic into main; True when git did it alone."""
        self.commit(base)
        self.git("checkout", "-q", "-b", "topic")
        self.commit(theirs)
        self.git("checkout", "-q", "main")
        self.commit(ours)
        return (
            self.git("-c", f"merge.conflictStyle={style}", "merge", "-q", "--no-edit", "topic", check=False)
            == 0
        )


@pytest.fixture
def repository(peer: Callable[[str], str], tmp_path: Path) -> GitRepository:
    return GitRepository(peer("git"), tmp_path)


BASE = named("b", "d", "f")
NEIGHBOURS = {
    "two edits side by side": (BASE.with_file(B, entry(10)), BASE.with_file(D, entry(11))),
    "add after the last, edit the last": (
        BASE.with_file("secrets/g.age", entry(10)),
        BASE.with_file("secrets/f.age", entry(11)),
    ),
    "add before the first, edit the first": (BASE.with_file(A, entry(10)), BASE.with_file(B, entry(11))),
    "add between, edit the one before": (BASE.with_file(C, entry(10)), BASE.with_file(B, entry(11))),
    "add between, edit the one after": (BASE.with_file(C, entry(10)), BASE.with_file(D, entry(11))),
    "add in two neighbouring gaps": (
        BASE.with_file(C, entry(10)),
        BASE.with_file("secrets/e.age", entry(11)),
    ),
    "add at both ends": (BASE.with_file(A, entry(10)), BASE.with_file("secrets/g.age", entry(11))),
    "remove one, edit the one before": (BASE.without_file(D), BASE.with_file(B, entry(11))),
    "remove one, edit the one after": (BASE.without_file(D), BASE.with_file("secrets/f.age", entry(11))),
    "remove the last, edit its neighbour": (BASE.without_file("secrets/f.age"), BASE.with_file(D, entry(11))),
    "edit all, owe": (
        BASE.with_files({path: entry(20) for path in BASE.files}),
        BASE.with_debt([OWED]),
    ),
    "add the last file, owe the first debt": (
        BASE.with_file("secrets/g.age", entry(10)),
        BASE.with_debt([OWED]),
    ),
    "first debt, first link": (
        BASE.with_debt([OWED]),
        BASE.with_link(B, Link("pass:b", digest(1), "alice")),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), NEIGHBOURS.values(), ids=NEIGHBOURS.keys())
def test_git_alone_merges_neighbours(repository: GitRepository, ours: Lock, theirs: Lock) -> None:
    assert repository.merge(BASE, ours, theirs), repository.lock.read_text()
    assert parse_lock(repository.lock.read_text()) == merge_locks(BASE, ours, theirs)


CONFLICTS = {
    "both first": (Lock(), named("a"), named("b")),
    "both last": (
        BASE,
        BASE.with_file("secrets/g.age", entry(10)),
        BASE.with_file("secrets/h.age", entry(11)),
    ),
    "same edited": (BASE, BASE.with_file(D, entry(10)), BASE.with_file(D, entry(11))),
    "both first debts": (BASE, BASE.with_debt([OWED]), BASE.with_debt([replace(OWED, principal="bob")])),
    "everything": (
        BASE.with_debt([OWED]),
        BASE.with_files({path: entry(20) for path in BASE.files}).without_debt(lambda record: True),
        Lock({A: entry(30)}, (replace(OWED, principal="bob"),), {A: Link("pass:a", digest(1), "alice")}),
    ),
}


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
@pytest.mark.parametrize(("base", "ours", "theirs"), CONFLICTS.values(), ids=CONFLICTS.keys())
def test_what_git_leaves_in_conflict_is_resolved(
    repository: GitRepository, base: Lock, ours: Lock, theirs: Lock, style: str
) -> None:
    assert not repository.merge(base, ours, theirs, style)
    text = repository.lock.read_text()
    assert has_conflict_markers(text)
    resolved = parse_lock(merge_conflicted(text))
    if style == "diff3":
        assert resolved == merge_locks(base, ours, theirs)
    # Without the base nothing may count as removed; in no style is a claim or a debt lost or invented.
    full = merge_locks(base, ours, theirs)
    assert {*full.debt} <= {*resolved.debt} <= {*ours.debt, *theirs.debt}
    assert full.files.keys() <= resolved.files.keys() <= ours.files.keys() | theirs.files.keys()
    for path, found in resolved.files.items():
        assert found in (ours.files.get(path), theirs.files.get(path)) or not found.recipients


def _merge_file(
    git: str, folder: Path, base: Lock, ours: Lock, theirs: Lock, *style: str
) -> tuple[bool, str]:
    for name, lock in (("base", base), ("ours", ours), ("theirs", theirs)):
        (folder / name).write_text(dump_lock(lock))
    command = [git, "merge-file", "-p", *style, "ours", "base", "theirs"]
    result = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert 0 <= result.returncode < 128, result.stderr
    return result.returncode == 0, result.stdout.decode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(locks(), locks(), locks())
def test_gits_line_merge_is_right_or_a_conflict_that_we_resolve(
    peer: Callable[[str], str], tmp_path: Path, base: Lock, ours: Lock, theirs: Lock
) -> None:
    alone, text = _merge_file(peer("git"), tmp_path, base, ours, theirs, "--diff3")
    expected = merge_locks(base, ours, theirs)
    merged = parse_lock(merge_conflicted(text))
    if alone and _is_lock(text):
        assert merged == parse_lock(text) == expected
    # git may pair lines so oddly that we know less than from the three whole files; never may we claim more or owe less.
    # (What one side paid is gone from a part of the text that git merged alone, also for a file that both changed: only
    # the merge driver sees all three locks.)
    still_owed = {*ours.debt} & {*theirs.debt} | ({*ours.debt, *theirs.debt} - {*base.debt})
    assert {*merged.debt} >= {*Lock().with_debt(still_owed).debt} & {*expected.debt}
    assert merged.files.keys() >= expected.files.keys()
    for path, found in merged.files.items():
        sides = [side.files[path] for side in (base, ours, theirs) if path in side.files]
        assert not found.recipients or (found.sha256, found.recipients) in [
            (e.sha256, e.recipients) for e in sides
        ]


def _is_lock(text: str) -> bool:
    try:
        parse_lock(text)
    except RefusedInput:
        return False
    return True


def test_a_file_that_gits_clean_merge_left_twice_claims_nothing_afterwards() -> None:
    text = dump_lock(named("a", "b")).replace('"secrets/b.age"', '"secrets/a.age"')
    with pytest.raises(RefusedInput, match="appears twice") as caught:
        parse_lock(text)
    assert any("secretsmith lock --merge" in hint for hint in caught.value.hints)
    assert parse_lock(merge_conflicted(text)).files == {A: LockEntry(NO_DIGEST)}


# --- conflicted text -----------------------------------------------------------------------------------------------


def test_text_without_markers_comes_back_canonical() -> None:
    text = dump_lock(BASE)
    assert merge_conflicted(text) == text
    assert merge_conflicted(text.replace("\n\n", "\n")) == text
    with pytest.raises(RefusedInput) as caught:
        merge_conflicted("{}")
    assert caught.value.code is Code.LOCK_SCHEMA


def test_crlf_markers_are_understood() -> None:
    text = dump_lock(BASE).replace(
        '"debt": [\n',
        '"debt": [\n<<<<<<< HEAD\n=======\n{"key":null,"path":"secrets/a.age","principal":"web1",'
        '"reason":"retired","since":"2026-01-02"}\n>>>>>>> topic\n',
    )
    assert parse_lock(merge_conflicted(text.replace("\n", "\r\n"))).debt == (OWED,)


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<< a\n",
        "=======\n",
        ">>>>>>> b\n",
        "<<<<<<< a\n<<<<<<< a\n=======\n>>>>>>> b\n",
        "<<<<<<< a\n=======\n||||||| c\n>>>>>>> b\n",
        "<<<<<<< a\nno lock\n=======\n>>>>>>> b\n",
    ],
)
def test_markers_that_do_not_fit_are_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(Conflict) as caught:
        merge_conflicted(text)
    assert caught.value.code is Code.CONFLICT
    assert any("git checkout --merge" in hint for hint in caught.value.hints)


def test_a_base_that_is_no_lock_is_left_out() -> None:
    ours, theirs = dump_lock(named("a")), dump_lock(named("b"))
    text = f"<<<<<<< a\n{ours}||||||| c\nrubbish\n=======\n{theirs}>>>>>>> b\n"
    assert parse_lock(merge_conflicted(text)).files.keys() == {A, B}
