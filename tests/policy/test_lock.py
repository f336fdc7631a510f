"""The lock file: text form, what is refused, and that Nix reads it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given
from locks import FINGERPRINTS, digest, locks

from secretsmith.errors import Code, Conflict, RefusedInput, SecretsmithError
from secretsmith.policy.lock import Debt, Link, Lock, LockEntry, dump_lock, has_conflict_markers, parse_lock
from secretsmith.record import replace

FULL = (
    Lock()
    .with_files(
        {
            "secrets/web/db.age": LockEntry(digest(1), (FINGERPRINTS[0],), "wrote"),
            "secrets/a.age": LockEntry(
                digest(2), (FINGERPRINTS[1], FINGERPRINTS[0]), "opened", key_exposed=True
            ),
        }
    )
    .with_debt([Debt("secrets/a.age", None, "web2", "retired", "2026-11-20")])
    .with_link("secrets/a.age", Link("pass:bank/card", digest(3), "alice"))
)


def test_each_key_its_value_an_empty_line_and_the_comma_stand_alone() -> None:
    lines = dump_lock(FULL).split("\n")
    key = lines.index('"secrets/a.age":')
    assert json.loads(lines[key + 1])["basis"] == "opened"
    assert lines[key + 2 : key + 5] == ["", ",", '"secrets/web/db.age":']
    assert lines[-1] == "" and lines[-2] == "}"


def test_dates_are_strings_and_digests_hex() -> None:
    raw = json.loads(dump_lock(FULL))
    assert raw["debt"] == [
        {
            "path": "secrets/a.age",
            "key": None,
            "principal": "web2",
            "reason": "retired",
            "since": "2026-11-20",
        }
    ]
    assert raw["files"]["secrets/a.age"]["sha256"] == digest(2)


@given(locks())
def test_parsing_what_was_dumped_gives_the_same_lock_and_text(lock: Lock) -> None:
    text = dump_lock(lock)
    assert parse_lock(text) == lock
    assert dump_lock(parse_lock(text)) == text


def test_nix_reads_it(peer: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "secretsmith.lock"
    path.write_text(dump_lock(FULL))
    expression = f"builtins.toJSON (builtins.fromJSON (builtins.readFile {path}))"
    result = subprocess.run(
        [peer("nix-instantiate"), "--eval", "--strict", "--json", "-E", f"builtins.fromJSON ({expression})"],
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NIX_STATE_DIR": str(tmp_path / "state")},
    )
    assert json.loads(result.stdout) == json.loads(dump_lock(FULL))


def test_an_entry_is_known_only_while_its_digest_fits() -> None:
    assert FULL.entry_for("secrets/a.age", digest(2)) == FULL.files["secrets/a.age"]
    assert FULL.entry_for("secrets/a.age", digest(9)) is None
    assert FULL.entry_for("secrets/missing.age", digest(2)) is None
    nothing_claimed = FULL.with_file("secrets/a.age", LockEntry(digest(2)))
    assert nothing_claimed.entry_for("secrets/a.age", digest(2)) is None


def test_removing_a_file_keeps_what_is_owed_for_it() -> None:
    less = FULL.without_file("secrets/a.age")
    assert "secrets/a.age" not in less.files and "secrets/a.age" not in less.links
    assert less.debt == FULL.debt


def test_renaming_carries_entry_link_and_debt() -> None:
    moved = FULL.renamed("secrets/a.age", "secrets/web/db.age")
    assert moved.files == {"secrets/web/db.age": FULL.files["secrets/a.age"]}
    assert set(moved.links) == {"secrets/web/db.age"}
    assert [record.path for record in moved.debt] == ["secrets/web/db.age"]


def test_the_same_loss_again_counts_from_the_later_date() -> None:
    again = replace(FULL.debt[0], since="2026-12-01")
    earlier = replace(FULL.debt[0], since="2025-01-01")
    assert FULL.with_debt([again, earlier]).debt == (again,)
    assert FULL.without_debt(lambda record: record.principal == "web2").debt == ()


GOOD = json.loads(dump_lock(FULL))


def _changed(**changes: object) -> str:
    return json.dumps({**GOOD, **changes})


def _entry(**changes: object) -> str:
    entry = {"sha256": digest(1), "recipients": [], "basis": "wrote", "key_exposed": False}
    return _changed(files={"a.age": {**entry, **changes}})


BAD = {
    "empty": "",
    "not json": "{",
    "a list": "[]",
    "null": "null",
    "duplicate key": '{"version": 1, "version": 1, "files": {}, "debt": [], "links": {}}',
    "newer version": _changed(version=2),
    "version true": _changed(version=True),
    "version text": _changed(version="1"),
    "lacks debt": json.dumps({key: value for key, value in GOOD.items() if key != "debt"}),
    "unknown section": _changed(extra={}),
    "float": '{"version": 1.0, "files": {}, "debt": [], "links": {}}',
    "nan": '{"version": NaN, "files": {}, "debt": [], "links": {}}',
    "huge number": '{"version": ' + "1" * 5000 + ', "files": {}, "debt": [], "links": {}}',
    "nested": "[" * 100_000,
    "files a list": _changed(files=[]),
    "debt an object": _changed(debt={}),
    "entry not an object": _changed(files={"a.age": 1}),
    "unknown field": _entry(more=1),
    "digest too short": _entry(sha256="ab"),
    "digest upper case": _entry(sha256="A" * 64),
    "digest with newline": _entry(sha256=digest(1) + "\n"),
    "recipients text": _entry(recipients="SHA256:"),
    "no fingerprint": _entry(recipients=["ssh-ed25519 AAAA"]),
    "basis unknown": _entry(basis="guessed"),
    "basis a list": _entry(basis=["wrote"]),
    "exposed a number": _entry(key_exposed=1),
    "path leaves": _changed(files={"../etc/passwd": GOOD["files"]["secrets/a.age"]}),
    "path absolute": _changed(files={"/etc/passwd": GOOD["files"]["secrets/a.age"]}),
    "path with half a surrogate pair": _changed(files={"a\ud800.age": GOOD["files"]["secrets/a.age"]}),
    "path with escape": _changed(files={"a\x1b[2J.age": GOOD["files"]["secrets/a.age"]}),
    "path empty": _changed(files={"": GOOD["files"]["secrets/a.age"]}),
    "debt path leaves": _changed(debt=[{**GOOD["debt"][0], "path": "a/../../b"}]),
    "debt date": _changed(debt=[{**GOOD["debt"][0], "since": "20.11.2026"}]),
    "debt month": _changed(debt=[{**GOOD["debt"][0], "since": "2026-13-01"}]),
    "debt reason": _changed(debt=[{**GOOD["debt"][0], "reason": "bored"}]),
    "debt with a digest of the value": _changed(debt=[{**GOOD["debt"][0], "plaintext_sha256": digest(1)}]),
    "link incomplete": _changed(links={"a.age": {"source": "pass:a"}}),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_what_is_no_lock_is_refused(
    text: str, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2.0), pytest.raises(RefusedInput) as caught:
        parse_lock(text, "some.lock")
    error = caught.value
    assert error.code is Code.LOCK_SCHEMA
    assert error.message.startswith("some.lock") and error.hints and "\n" not in error.message
    assert "\x1b" not in error.message and len(error.message) < 300


def test_a_syntax_error_names_line_and_column() -> None:
    with pytest.raises(RefusedInput, match=r"^some\.lock:2:\d+: is not JSON$"):
        parse_lock('{\n"version": ,\n}', "some.lock")


def test_many_equal_keys_are_refused_in_linear_time(
    within: Callable[[float], AbstractContextManager[None]],
) -> None:
    keys = ",".join(f'"{number}": 1' for number in range(100_000))
    with within(2.0), pytest.raises(RefusedInput, match="'99999' appears twice"):
        parse_lock(f'{{{keys}, "99999": 1}}')


@pytest.mark.parametrize(
    "marker", ["<<<<<<< HEAD", ">>>>>>> topic", "||||||| 1234", "<<<<<<<", "<<<<<<< HEAD\r"]
)
def test_conflict_markers_are_told_apart_from_other_damage(marker: str) -> None:
    text = dump_lock(FULL).replace('"debt": [\n', f'"debt": [\n{marker}\n', 1)
    with pytest.raises(Conflict) as caught:
        parse_lock(text)
    assert caught.value.code is Code.CONFLICT
    assert "secretsmith lock --merge" in caught.value.hints


@given(locks())
def test_no_lock_of_ours_looks_like_a_conflict(lock: Lock) -> None:
    assert not has_conflict_markers(dump_lock(lock))


def test_a_large_lock_is_read_quickly(within: Callable[[float], AbstractContextManager[None]]) -> None:
    entry = LockEntry(digest(1), tuple(FINGERPRINTS), "wrote")
    lock = Lock().with_files({f"secrets/{number}.age": entry for number in range(10_000)})
    with within(2.0):
        assert len(parse_lock(dump_lock(lock)).files) == 10_000


def test_errors_are_of_our_class_only() -> None:
    text = dump_lock(FULL)
    for cut in range(0, len(text), 7):
        with pytest.raises(SecretsmithError):
            parse_lock(text[:cut])
