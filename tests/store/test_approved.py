"""What a person approved for a repository, in their own state folder."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from secretsmith.errors import Code, SecretsmithError
from secretsmith.store.approved import ApprovedSources

ONE, TWO = "SHA256:" + "A" * 43, "SHA256:" + "B" * 43
REF = "pass:web/db"


def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home")}


def folder(tmp_path: Path) -> Path:
    return tmp_path / "home/.local/state/secretsmith"


def approve(tmp_path: Path, root: Path, *keys: str, reference: str = REF) -> None:
    approved = ApprovedSources.load(environ(tmp_path), root)
    approved.add(reference, keys)
    approved.save()


def missing(tmp_path: Path, root: Path, *keys: str, reference: str = REF) -> tuple[str, ...]:
    return ApprovedSources.load(environ(tmp_path), root).missing(reference, keys)


def test_what_was_approved_is_and_narrowed_readers_are(tmp_path: Path) -> None:
    assert missing(tmp_path, tmp_path, ONE) == (ONE,)
    approve(tmp_path, tmp_path, ONE, TWO)
    assert missing(tmp_path, tmp_path, ONE, TWO) == ()
    assert missing(tmp_path, tmp_path, TWO) == ()


def test_wider_readers_other_references_and_other_repositories_are_not(tmp_path: Path) -> None:
    approve(tmp_path, tmp_path, ONE)
    assert missing(tmp_path, tmp_path, ONE, TWO) == (TWO,)
    assert missing(tmp_path, tmp_path, ONE, reference="pass:web/db#*") == (ONE,)
    other = tmp_path / "other"
    other.mkdir()
    assert missing(tmp_path, other, ONE) == (ONE,)


def test_a_repository_whose_path_is_no_text_loses_no_approvals(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    odd.mkdir()
    approve(tmp_path, tmp_path, ONE)
    approve(tmp_path, odd, ONE)
    approve(tmp_path, odd, TWO)
    assert missing(tmp_path, odd, ONE, TWO) == ()
    assert missing(tmp_path, tmp_path, ONE) == ()


def test_a_repository_reached_through_a_link_is_the_same(tmp_path: Path) -> None:
    root, link = tmp_path / "root", tmp_path / "link"
    root.mkdir()
    link.symlink_to(root)
    approve(tmp_path, link, ONE)
    assert missing(tmp_path, root, ONE) == ()


def test_file_and_folder_are_private_and_others_keep_what_they_have(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    approve(tmp_path, tmp_path, ONE)
    approve(tmp_path, other, TWO)
    assert missing(tmp_path, tmp_path, ONE) == ()
    assert stat.S_IMODE(folder(tmp_path).stat().st_mode) == 0o700
    file = folder(tmp_path) / "sources.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["repositories"][str(tmp_path)] == {REF: [ONE]}


def test_what_another_process_approved_meanwhile_stays(tmp_path: Path) -> None:
    mine = ApprovedSources.load(environ(tmp_path), tmp_path)
    mine.add(REF, [ONE])
    approve(tmp_path, tmp_path, TWO)
    mine.save()
    assert missing(tmp_path, tmp_path, ONE, TWO) == ()


def test_the_state_folder_of_the_desktop_is_used_if_it_is_absolute(tmp_path: Path) -> None:
    given = {**environ(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    assert ApprovedSources.load(given, tmp_path).path == tmp_path / "state/secretsmith/sources.json"
    relative = {**environ(tmp_path), "XDG_STATE_HOME": "state"}
    assert ApprovedSources.load(relative, tmp_path).path == folder(tmp_path) / "sources.json"
    with pytest.raises(SecretsmithError, match="HOME"):
        ApprovedSources.load({}, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": 2}', '{"version": 1, "repositories": []}'])
def test_a_damaged_file_approves_nothing(tmp_path: Path, text: str) -> None:
    approve(tmp_path, tmp_path, ONE)
    (folder(tmp_path) / "sources.json").write_text(text)
    assert missing(tmp_path, tmp_path, ONE) == (ONE,)


def test_odd_parts_of_a_file_approve_nothing(tmp_path: Path) -> None:
    approve(tmp_path, tmp_path, ONE)
    tree = {"version": 1, "repositories": {str(tmp_path): {REF: ONE, "x:y": [1, TWO]}, "/x": 3}}
    (folder(tmp_path) / "sources.json").write_text(json.dumps(tree))
    assert missing(tmp_path, tmp_path, ONE) == (ONE,)
    assert missing(tmp_path, tmp_path, TWO, reference="x:y") == ()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_links_are_refused(tmp_path: Path, what: str) -> None:
    """Whoever could choose where the link leads would approve for somebody else."""
    approve(tmp_path, tmp_path, ONE)
    place = folder(tmp_path) if what == "folder" else folder(tmp_path) / "sources.json"
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SecretsmithError) as caught:
        missing(tmp_path, tmp_path, ONE)
    assert caught.value.code is Code.SYMLINK and caught.value.path == str(place)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_others_may_change_is_refused(tmp_path: Path, what: str) -> None:
    approve(tmp_path, tmp_path, ONE)
    place = folder(tmp_path) if what == "folder" else folder(tmp_path) / "sources.json"
    place.chmod(0o777 if what == "folder" else 0o666)
    with pytest.raises(SecretsmithError) as caught:
        missing(tmp_path, tmp_path, ONE)
    assert caught.value.code is Code.ACCESS


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to somebody else")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_belongs_to_somebody_else_is_refused(tmp_path: Path, what: str) -> None:
    approve(tmp_path, tmp_path, ONE)
    place = folder(tmp_path) if what == "folder" else folder(tmp_path) / "sources.json"
    os.chown(place, 12345, 12345)
    with pytest.raises(SecretsmithError, match="somebody else"):
        missing(tmp_path, tmp_path, ONE)


def test_a_file_in_place_of_the_folder_is_refused_and_nothing_new_writes_nothing(tmp_path: Path) -> None:
    approve(tmp_path, tmp_path)
    assert not folder(tmp_path).exists()
    folder(tmp_path).parent.mkdir(parents=True)
    folder(tmp_path).write_text("")
    with pytest.raises(SecretsmithError):
        approve(tmp_path, tmp_path, ONE)
