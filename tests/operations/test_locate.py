from __future__ import annotations

import os
from pathlib import Path

import pytest
from repositories import Fleet

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.operations.locate import locate_beside, locate_secret, locate_target


@pytest.fixture
def filled(fleet: Fleet) -> Fleet:
    for path in ("secrets/web/db.age", "secrets/mail.age", "other/key.age", "secrets/-dash.age"):
        (fleet.root / path).parent.mkdir(parents=True, exist_ok=True)
        (fleet.root / path).write_bytes(b"x")
    return fleet


@pytest.mark.parametrize(
    ("text", "cwd", "path"),
    [
        ("secrets/web/db.age", "", "secrets/web/db.age"),
        ("web/db.age", "", "secrets/web/db.age"),
        ("web/db", "", "secrets/web/db.age"),
        ("mail", "other", "secrets/mail.age"),
        ("secrets/mail.age", "other", "secrets/mail.age"),
        ("key.age", "other", "other/key.age"),
        ("../other/key.age", "secrets", "other/key.age"),
        ("db", "secrets/web", "secrets/web/db.age"),
        ("./db.age", "secrets/web", "secrets/web/db.age"),
        ("other/key.age", "secrets/web", "other/key.age"),
        ("-dash", "", "secrets/-dash.age"),
        ("secrets//web/./db.age", "", "secrets/web/db.age"),
    ],
)
def test_a_secret_is_found(filled: Fleet, text: str, cwd: str, path: str) -> None:
    assert locate_secret(filled.project(), text, cwd=filled.root / cwd) == path


def test_absolute_paths_work_from_anywhere(filled: Fleet) -> None:
    text = str(filled.root / "secrets/mail.age")
    assert locate_secret(filled.project(), text, cwd=Path("/")) == "secrets/mail.age"


def test_two_candidates_are_ambiguous_and_both_can_be_named(filled: Fleet) -> None:
    (filled.root / "mail.age").write_bytes(b"x")
    project = filled.project()
    with pytest.raises(RefusedInput) as caught:
        locate_secret(project, "mail.age", cwd=filled.root)
    assert caught.value.code is Code.AMBIGUOUS
    assert caught.value.exit_code == 2
    for shown, path in (("./mail.age", "mail.age"), ("./secrets/mail.age", "secrets/mail.age")):
        assert shown in caught.value.message
        assert locate_secret(project, shown, cwd=filled.root) == path


def test_with_and_without_suffix_is_ambiguous(filled: Fleet) -> None:
    (filled.root / "secrets/mail").write_bytes(b"x")
    with pytest.raises(RefusedInput, match="ambiguous"):
        locate_secret(filled.project(), "mail", cwd=filled.root)


def test_the_same_file_twice_is_not_ambiguous(filled: Fleet, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(filled.root)
    project = filled.project(SECRETSMITH_ROOT=str(link))
    assert project.root == link
    assert locate_secret(project, "secrets/mail.age", cwd=filled.root) == "secrets/mail.age"


def test_unknown_names_have_suggestions(filled: Fleet) -> None:
    filled.run("set", "web/db", stdin=b"x", code=2)  # the file is no age file
    filled.run("rm", "web/db", "--force")
    filled.set("web/db", b"x")
    with pytest.raises(NotFound) as caught:
        locate_secret(filled.project(), "wbe/db", cwd=filled.root)
    assert "did you mean secrets/web/db.age?" in caught.value.hints
    with pytest.raises(NotFound) as caught:
        locate_secret(filled.project(), "secrets/web", cwd=filled.root)
    assert "folder" in caught.value.message
    assert caught.value.hints == ("secretsmith ls secrets/web",)


@pytest.mark.parametrize(
    ("text", "cwd", "path"),
    [
        ("web/new", "", "secrets/web/new.age"),
        ("web/new.age", "", "secrets/web/new.age"),
        ("secrets/web/new.age", "", "secrets/web/new.age"),
        ("secrets/web/new", "other", "secrets/web/new.age"),
        ("new", "secrets/web", "secrets/web/new.age"),
        ("new", "other", "secrets/new.age"),
        ("./new", "other", "other/new.age"),
        ("db.password", "", "secrets/db.password.age"),
        ("app.yaml", "", "secrets/app.yaml"),
        ("web/db", "", "secrets/web/db.age"),
        ("deep/er/new", "", "secrets/deep/er/new.age"),
    ],
)
def test_a_place_for_writing(filled: Fleet, text: str, cwd: str, path: str) -> None:
    assert locate_target(filled.project(), text, cwd=filled.root / cwd) == path


@pytest.mark.parametrize(
    "text",
    ["../outside", "/etc/outside.age", "a/../../../x", "", "web/", "a\0b", "a\nb", "x\x1b[2J", ".git/x"],
)
def test_unsafe_places_are_refused(filled: Fleet, text: str) -> None:
    with pytest.raises(RefusedInput):
        locate_target(filled.project(), text, cwd=filled.root)


def test_a_symlink_on_the_way_is_refused(filled: Fleet, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (filled.root / "secrets/link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedInput) as caught:
        locate_target(filled.project(), "link/new", cwd=filled.root)
    assert caught.value.code is Code.SYMLINK


@pytest.mark.parametrize("kind", ["symlink", "fifo"])
def test_what_is_no_file_is_refused_and_not_followed(filled: Fleet, kind: str) -> None:
    path = filled.root / "secrets/web/odd.age"
    if kind == "symlink":
        path.symlink_to("/etc/passwd")
    else:
        os.mkfifo(path)
    for argv in (("show", "web/odd"), ("set", "web/odd"), ("rm", "web/odd", "--force")):
        assert b"secrets/web/odd.age" in filled.run(*argv, code=2).stderr
    assert os.path.lexists(path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("web", "secrets/web/mail.age"),
        ("web/", "secrets/web/mail.age"),
        ("new/", "secrets/new/mail.age"),
        ("web/post", "secrets/web/post.age"),
        ("./other", "other/mail.age"),
    ],
)
def test_targets_of_moves(filled: Fleet, text: str, path: str) -> None:
    assert locate_beside(filled.project(), "secrets/mail.age", text, cwd=filled.root) == path


def test_target_that_exists_is_refused(filled: Fleet) -> None:
    with pytest.raises(RefusedInput) as caught:
        locate_beside(filled.project(), "secrets/mail.age", "web/db", cwd=filled.root)
    assert caught.value.code is Code.EXISTS
