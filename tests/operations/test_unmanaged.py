"""``set``, ``unset`` and ``rotate`` on files that no registry knows: the recipients stay, the real sops goes on with them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from unmanaged import CLEAR, SSH, A, B, C, Place

from secretsmith.documents.format import format_of
from secretsmith.documents.seal import read_document
from secretsmith.errors import CannotDecrypt, Code, Conflict, IntegrityFailure, NotFound, RefusedInput
from secretsmith.operations.show import show_file
from secretsmith.operations.unmanaged import replace_file, rotate_file, set_in_file, unset_in_file
from secretsmith.operations.write_value import Written
from secretsmith.sensitive import Sensitive

KEYS = {"app.yaml": "mail/smtp", "app.json": "mail/smtp", "app.env": "SMTP", "app.ini": "mail/smtp"}
GROUPS = f"creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: [{A}]\n      - age: [{B}]\n      - age: [{C}]\n"


@pytest.fixture
def place(tmp_path: Path, peer: Callable[[str], str]) -> Place:
    return Place(tmp_path, peer("sops"))


def recipients(path: Path) -> list[list[str]]:
    metadata = read_document(format_of(path.name), path.read_bytes()).metadata
    return [[entry.recipient for entry in group.age] for group in metadata.groups]


def put(
    place: Place, name: str, key: str | None, value: bytes, *, json: bool = False, **variables: str
) -> Written:
    return set_in_file(
        place.folder / name,
        name,
        place.ring(),
        key,
        Sensitive(value),
        environ=place.environ(**variables),
        cwd=place.folder,
        json=json,
    )


@pytest.mark.parametrize("name", KEYS)
def test_a_value_is_set_and_sops_reads_it(place: Place, name: str) -> None:
    path = place.sealed(name, "--age", f"{A},{B}")
    path.chmod(0o640)
    before = recipients(path)
    written = put(place, name, KEYS[name], b"changed")
    assert (written.created, written.unchanged, written.readers) == (False, False, (A, B))
    assert recipients(path) == before == [[A, B]]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    clear = place.run_sops("decrypt", name, key="b")
    assert b"changed" in clear
    assert b"hunter2" not in clear
    assert show_file(path, name, place.ring("b"), KEYS[name]).expose() == b"changed"
    # and sops goes on with it
    place.run_sops("set", name, '["mail"]["more"]' if name != "app.env" else '["MORE"]', '"x"')
    assert b"changed" in place.run_sops("decrypt", name)


def test_only_the_value_changes(place: Place) -> None:
    path = place.sealed("app.yaml")
    before = path.read_bytes().splitlines()
    put(place, "app.yaml", "mail/smtp", b"changed")
    after = path.read_bytes().splitlines()
    changed = [line.split(b":")[0].strip() for line, new in zip(before, after, strict=True) if line != new]
    assert set(changed) - {b"lastmodified"} == {b"smtp", b"mac"}


def test_json_values_and_the_same_value(place: Place) -> None:
    path = place.sealed("app.json")
    put(place, "app.json", "mail/port", b"26", json=True)
    assert json.loads(place.run_sops("decrypt", "app.json"))["mail"]["port"] == 26
    before = path.read_bytes()
    assert put(place, "app.json", "mail/port", b"26", json=True).unchanged
    assert path.read_bytes() == before
    with pytest.raises(RefusedInput) as refused:
        put(place, "app.json", "mail/port", b"{hunter3", json=True)
    assert refused.value.code is Code.USAGE
    assert "hunter3" not in str(refused.value)


@pytest.mark.parametrize("name", CLEAR)
def test_the_whole_text(place: Place, name: str) -> None:
    place.sealed(name)
    text = CLEAR[name].replace(b"hunter2", b"changed")
    put(place, name, None, text)
    assert show_file(place.folder / name, name, place.ring()).expose() == text
    assert b"changed" in place.run_sops("decrypt", name)


def test_a_list_that_gets_brackets(place: Place) -> None:
    # Sealed texts hold brackets and commas themselves: in brackets they need quotes.
    place.sealed("app.yaml")
    put(place, "app.yaml", None, CLEAR["app.yaml"].replace(b"hosts:\n  - a\n", b"hosts: [a, b]\n"))
    assert json.loads(place.run_sops("decrypt", "--output-type", "json", "app.yaml"))["hosts"] == ["a", "b"]


def test_a_value_in_clear_is_said(place: Place) -> None:
    place.sealed("app.yaml")
    (note,) = put(place, "app.yaml", "note_unencrypted", b"new").notes
    assert "not encrypted" in note


@pytest.mark.parametrize("name", KEYS)
def test_unset(place: Place, name: str) -> None:
    path = place.sealed(name)
    unset_in_file(path, name, place.ring(), KEYS[name])
    assert b"hunter2" not in place.run_sops("decrypt", name)
    before = path.read_bytes()
    with pytest.raises(NotFound, match=name):
        unset_in_file(path, name, place.ring(), KEYS[name])
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", CLEAR)
def test_rotate_renews_the_data_key_for_the_same(place: Place, name: str) -> None:
    path = place.sealed(name, "--age", f"{A},{SSH}")
    before = read_document(format_of(name), path.read_bytes())
    plain = place.run_sops("decrypt", name)
    rotate_file(path, name, place.ring())
    assert recipients(path) == [[A, SSH]]
    after = read_document(format_of(name), path.read_bytes())
    stanzas = [{entry.enc for entry in file.metadata.groups[0].age} for file in (before, after)]
    assert not stanzas[0] & stanzas[1]
    assert place.run_sops("decrypt", name) == plain


def test_key_groups_stay(place: Place) -> None:
    place.config(GROUPS)
    path = place.sealed("app.yaml")
    with pytest.raises(CannotDecrypt) as refused:
        put(place, "app.yaml", "mail/smtp", b"changed")
    assert any("2 of 3 key groups" in hint for hint in refused.value.hints)
    ring = place.ring("ab")
    written = set_in_file(
        path, "app.yaml", ring, "mail/smtp", Sensitive(b"changed"), environ={}, cwd=place.folder
    )
    assert written.readers == (A, B, C)
    rotate_file(path, "app.yaml", ring)
    assert recipients(path) == [[A], [B], [C]]
    assert b"changed" in place.run_sops("decrypt", "app.yaml", key="bc")


def test_sops_yaml_does_not_touch_what_is_there(place: Place) -> None:
    path = place.sealed("app.yaml")
    place.config(f"creation_rules:\n  - age: {B}\n")
    put(place, "app.yaml", "mail/smtp", b"changed", SOPS_AGE_RECIPIENTS=C)
    assert recipients(path) == [[A]]


@pytest.mark.parametrize(
    ("name", "key"),
    [("new.yaml", "db/password"), ("new.json", "db/0"), ("new.env", "X"), ("new.ini", "db/x")],
)
def test_a_new_file_follows_sops_yaml(place: Place, name: str, key: str) -> None:
    place.config(
        "creation_rules:\n  - path_regex: ^elsewhere/\n    age: nonsense\n"
        f"  - path_regex: ^new\n    age: [{A}, {B}]\n    encrypted_regex: .\n    mac_only_encrypted: true\n"
    )
    written = put(place, name, key, b"hunter2")
    assert written.created
    assert written.readers == (A, B)
    assert written.notes == ("the readers are those of creation rule 2 of .sops.yaml",)
    assert recipients(place.folder / name) == [[A, B]]
    metadata = read_document(format_of(name), (place.folder / name).read_bytes()).metadata
    assert (metadata.selection, metadata.mac_only_encrypted) == (("encrypted_regex", "."), True)
    assert b"hunter2" in place.run_sops("decrypt", name, key="b")


def test_a_new_age_file_and_a_new_binary_one(place: Place, peer: Callable[[str], str]) -> None:
    place.config(f"creation_rules:\n  - age: {A}\n")
    for name in ("new.age", "new.bin"):
        put(place, name, None, b"\x00hunter2")
        assert show_file(place.folder / name, name, place.ring()).expose() == b"\x00hunter2"
    assert place.run_sops("decrypt", "new.bin") == b"\x00hunter2"
    with pytest.raises(RefusedInput, match="no keys"):
        put(place, "other.age", "a", b"x")


def test_nobody_to_read_a_new_file(place: Place) -> None:
    with pytest.raises(RefusedInput) as refused:
        put(place, "new.yaml", "a", b"x")
    assert refused.value.code is Code.RECIPIENT_MISSING
    assert not (place.folder / "new.yaml").exists()
    assert put(place, "new.yaml", "a", b"x", SOPS_AGE_RECIPIENTS=f"{A}, {B}").readers == (A, B)


def test_age_files_are_not_written_again(place: Place) -> None:
    path = place.folder / "it.age"
    put(place, "it.age", None, b"x", SOPS_AGE_RECIPIENTS=A)
    before = path.read_bytes()
    changes: tuple[Callable[[], object], ...] = (
        lambda: put(place, "it.age", None, b"y"),
        lambda: rotate_file(path, "it.age", place.ring()),
        lambda: unset_in_file(path, "it.age", place.ring(), "a"),
    )
    for change in changes:
        with pytest.raises(RefusedInput) as refused:
            change()
        assert refused.value.code is Code.UNSUPPORTED
    assert path.read_bytes() == before


def test_a_stanza_for_somebody_else_stops_every_change(place: Place) -> None:
    path = place.sealed("app.json", "--age", f"{A},{SSH}")
    document = json.loads(path.read_bytes())
    entries = document["sops"]["age"]
    entries[1]["enc"] = entries[0]["enc"]  # said to be for the ssh key
    path.write_text(json.dumps(document))
    before = path.read_bytes()
    changes: tuple[Callable[[], object], ...] = (
        lambda: put(place, "app.json", "mail/smtp", b"y"),
        lambda: rotate_file(path, "app.json", place.ring()),
        lambda: unset_in_file(path, "app.json", place.ring(), "mail"),
    )
    for change in changes:
        with pytest.raises(IntegrityFailure) as refused:
            change()
        assert refused.value.code is Code.RECIPIENT_MISMATCH
    assert path.read_bytes() == before


def test_a_wrong_mac_and_a_wrong_key(place: Place) -> None:
    path = place.folder / "t.yaml"
    source = place.sealed("app.yaml").read_bytes()
    path.write_bytes(source.replace(b"note_unencrypted: open", b"note_unencrypted: shut"))
    before = path.read_bytes()
    with pytest.raises(IntegrityFailure, match=r"t\.yaml") as refused:
        put(place, "t.yaml", "mail/smtp", b"y")
    assert refused.value.code is Code.MAC
    with pytest.raises(CannotDecrypt, match=r"app\.yaml") as unopened:
        rotate_file(place.folder / "app.yaml", "app.yaml", place.ring("wrong"))
    assert any(A in hint for hint in unopened.value.hints)
    assert any(hint.startswith("tried: ") for hint in unopened.value.hints)
    assert path.read_bytes() == before


def test_a_file_that_changed_meanwhile_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"theirs")
    with pytest.raises(Conflict):
        replace_file(path, "x", b"ours", before=b"what it was")
    with pytest.raises(Conflict):
        replace_file(path, "x", b"ours", before=None)
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["x"]


def test_a_link_is_not_followed(place: Place) -> None:
    path = place.sealed("app.yaml")
    link = place.folder / "link.yaml"
    link.symlink_to(path)
    with pytest.raises(RefusedInput) as refused:
        put(place, "link.yaml", "mail/smtp", b"y")
    assert refused.value.code is Code.NOT_REGULAR


def test_documents_under_other_keys_are_not_rotated(place: Place) -> None:
    path = place.sealed("app.json")
    document = json.loads(path.read_bytes())
    document["sops"]["pgp"] = [{"fp": "FBC7B9E2", "created_at": "2026-01-01T00:00:00Z", "enc": "x"}]
    path.write_text(json.dumps(document))
    with pytest.raises(RefusedInput) as refused:
        rotate_file(path, "app.json", place.ring())
    assert refused.value.code is Code.UNSUPPORTED
    put(place, "app.json", "mail/smtp", b"y")
    assert json.loads(path.read_bytes())["sops"]["pgp"] == document["sops"]["pgp"]


def test_shown_whatever_its_name(place: Place) -> None:
    place.sealed("app.bin")
    assert show_file(place.folder / "app.bin", "app.bin", place.ring()).expose() == CLEAR["app.bin"]
    other = place.folder / "copy.yaml.enc"
    other.write_bytes(place.sealed("app.yaml").read_bytes())
    with pytest.raises(RefusedInput) as refused:
        show_file(other, "copy.yaml.enc", place.ring())
    assert "--input-type" in "".join(refused.value.hints)
