"""Custom paths by themselves: links and copies, what is replaced, what is removed, and what is never touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sites import Site

from secretsmith.activation.places.places import Places
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import Method

pytestmark = pytest.mark.usefixtures("open_descriptors")
METHODS = [Method.LINK, Method.COPY]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    tmp_path.chmod(0o755)
    return Site(tmp_path)


@pytest.fixture
def path(site: Site) -> Path:
    return site.folder / "etc" / "app" / "db"


def refused(site: Site, code: Code) -> SecretsmithError:
    """Nothing half-made stays, and it is said again by the next run."""
    (first,) = site.run().values()
    (error,) = site.run().values()
    assert (error.code, error.message) == (code, first.message)
    assert not site.leftovers()
    assert not site.in_place()
    return error


def test_a_copy_is_a_file_of_its_own(site: Site, path: Path) -> None:
    site.copy("db", path, mode="0440")
    assert not site.in_place()
    assert not site.run()
    found = path.lstat()
    assert (path.read_bytes(), found.st_mode & 0o7777, found.st_nlink) == (b"value", 0o440, 1)
    assert (found.st_uid, path.is_symlink()) == (os.geteuid(), False)
    assert path.parent.stat().st_mode & 0o7777 == 0o755
    assert site.in_place()
    assert not site.leftovers()


@pytest.mark.parametrize("method", METHODS)
def test_a_second_run_touches_nothing(site: Site, path: Path, method: Method) -> None:
    site.add("db", path, method=method)
    site.run()
    before = path.lstat(), path.parent.stat(), Path(site.record).stat()
    assert not site.run()
    assert (path.lstat(), path.parent.stat(), Path(site.record).stat()) == before


def test_a_new_value_takes_the_place_of_our_copy(site: Site, path: Path) -> None:
    site.copy("db", path)
    site.run()
    site.copy("db", path, b"longer value", mode="0440")
    assert not site.in_place()
    assert not site.run()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"longer value", 0o440)
    assert site.in_place()
    assert not site.leftovers()


@pytest.mark.usefixtures("as_root")
def test_a_copy_has_its_owner(site: Site, path: Path) -> None:
    site.copy("db", path, owner="1", group="2")
    assert not site.run()
    assert (path.stat().st_uid, path.stat().st_gid) == (1, 2)
    site.copy("db", path, owner="3", group="2")
    assert not site.in_place()
    assert not site.run()
    assert path.stat().st_uid == 3


@pytest.mark.parametrize("first", METHODS)
def test_the_method_changes(site: Site, path: Path, first: Method) -> None:
    second = METHODS[1 - METHODS.index(first)]
    site.add("db", path, method=first)
    site.run()
    site.add("db", path, method=second)
    assert not site.in_place()
    assert not site.run()
    assert path.is_symlink() == (second is Method.LINK)
    assert site.in_place()
    site.drop("db")
    assert not site.run()
    assert not os.path.lexists(path)
    assert not site.leftovers()


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling", "fifo", "hard link"])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_ours_is_never_replaced(site: Site, path: Path, method: Method, kind: str) -> None:
    path.parent.mkdir(parents=True)
    other = site.folder / "other"
    make: dict[str, Callable[[], object]] = {
        "file": lambda: path.write_text("precious"),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to("/etc/passwd"),
        "dangling": lambda: path.symlink_to(f"{site.manifest.directory}-of-another/db"),
        "fifo": lambda: os.mkfifo(path),
        "hard link": lambda: path.hardlink_to(other),
    }
    other.write_bytes(b"value")
    other.chmod(0o400)
    make[kind]()
    before = path.lstat()
    site.add("db", path, method=method)
    error = refused(site, Code.PATH_OCCUPIED)
    assert "never deleted" in error.hints[0]
    assert path.lstat() == before
    site.drop("db")
    assert not site.run()
    assert path.lstat() == before


@pytest.mark.parametrize("method", METHODS)
def test_a_link_into_our_folders_is_ours(site: Site, path: Path, method: Method) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(f"{site.manifest.generations}/1/old-name")
    site.add("db", path, method=method)
    assert not site.run()
    assert site.in_place()


def test_a_link_of_an_earlier_directory_is_ours_by_the_record(site: Site, path: Path) -> None:
    from secretsmith.record import replace

    site.add("db", path)
    site.run()
    site.manifest = replace(site.manifest, directory=str(site.folder / "elsewhere"))
    assert not site.run()
    assert os.readlink(path) == f"{site.folder}/elsewhere/db"


def test_an_equal_file_is_adopted(site: Site, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"value")
    path.chmod(0o400)
    before = path.stat()
    site.copy("db", path)
    assert not site.run()
    assert path.stat() == before
    assert site.in_place()


@pytest.mark.parametrize("change", ["bytes", "mode", "replaced", "second name"])
def test_a_copy_that_somebody_changed(site: Site, path: Path, change: str) -> None:
    site.copy("db", path)
    site.run()
    if change == "bytes":
        path.chmod(0o600)
        path.write_bytes(b"other")
        path.chmod(0o400)
    elif change == "mode":
        path.chmod(0o600)
    elif change == "replaced":
        path.unlink()
        path.write_bytes(b"other")
    else:
        (path.parent / "second").hardlink_to(path)
    before, content = path.stat(), path.read_bytes()
    assert not site.in_place()
    site.copy("db", path, b"new")
    error = refused(site, Code.PATH_OCCUPIED)
    assert ("hard link" if change == "second name" else "changed since activation") in error.message
    site.drop("db")
    site.run()
    (stuck,) = site.places.stuck.values()
    assert (stuck.code, stuck.path) == (Code.CHANGED, str(path))
    assert (path.stat(), path.read_bytes()) == (before, content)
    path.unlink()
    site.run()
    assert not site.places.stuck
    assert not site.before()


def test_a_changed_copy_that_is_what_it_should_be(site: Site, path: Path) -> None:
    site.copy("db", path)
    site.run()
    os.utime(path)
    assert not site.in_place()
    assert not site.run()
    assert site.in_place()


@pytest.mark.parametrize("method", METHODS)
def test_what_is_dropped_goes(site: Site, path: Path, method: Method) -> None:
    site.add("db", path, method=method)
    site.add("other", path.with_name("other"), method=method)
    site.run()
    site.drop("db")
    assert not site.in_place()
    assert site.forecast() == {"db": "remove"}
    assert not site.run()
    assert not os.path.lexists(path)
    assert os.path.lexists(path.with_name("other"))
    assert site.in_place()


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_removed_is_tried_again(site: Site, path: Path, method: Method) -> None:
    site.add("db", path, method=method)
    site.run()
    site.drop("db")
    path.parent.chmod(0o777)
    site.run()
    assert [error.code for error in site.places.stuck.values()] == [Code.PATH_UNSAFE]
    assert os.path.lexists(path)
    path.parent.chmod(0o755)
    site.run()
    assert not os.path.lexists(path)
    assert site.in_place()


def test_a_dropped_link_that_was_changed_stays(site: Site, path: Path) -> None:
    site.add("db", path)
    site.run()
    path.unlink()
    path.write_text("mine now")
    site.drop("db")
    assert not site.run()
    assert (path.read_text(), dict(site.places.stuck), site.before()) == ("mine now", {}, {})


def test_a_missing_value_takes_its_copy_with_it(site: Site, path: Path) -> None:
    """An entry without a file (refused, too old) is declared still, but what was copied must go."""
    site.copy("db", path)
    site.run()
    site.places = Places(site.manifest, site.caller, site.before())
    assert not site.places.prepare([])
    assert not site.places.commit()
    assert not path.exists()
    assert not site.places.left()


@pytest.mark.parametrize("what", ["file", "link", "folder"])
def test_what_lies_at_the_temporary_name(site: Site, path: Path, what: str) -> None:
    path.parent.mkdir(parents=True)
    victim = site.folder / "victim"
    victim.write_text("precious")
    half = path.with_name(".db.secretsmith-tmp")
    if what == "file":
        half.write_text("half")
    elif what == "link":
        half.symlink_to(victim)
    else:
        half.mkdir()
    site.copy("db", path)
    failures = site.run()
    assert bool(failures) == (what == "folder")
    assert path.exists() == (what != "folder")
    assert victim.read_text() == "precious"
    assert half.exists() == (what == "folder")


def test_one_that_fails_does_not_take_the_others_with_it(site: Site, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    site.copy("db", path)
    site.copy("a", path.with_name("a"))
    site.add("b", path.with_name("b"))
    assert site.run().keys() == {"db"}
    assert (path.with_name("a").read_bytes(), path.with_name("b").is_symlink()) == (b"value", True)
    assert site.before().keys() == {str(path.with_name("a")), str(path.with_name("b"))}


def test_a_failed_entry_keeps_what_it_had(site: Site, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.copy("db", path)
    site.run()
    site.copy("db", path, b"new")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fchown", lambda *_: os.stat("/nowhere"))
        assert site.run().keys() == {"db"}
    assert path.read_bytes() == b"value"
    assert not site.leftovers()
    assert not site.run()
    assert path.read_bytes() == b"new"


def test_a_copy_that_was_swapped_before_the_switch(site: Site, path: Path) -> None:
    site.copy("db", path)
    site.begin()
    half = path.with_name(".db.secretsmith-tmp")
    half.unlink()
    half.write_bytes(b"evil")
    (error,) = site.finish().values()
    assert error.code is Code.CHANGED
    assert not path.exists()


@pytest.mark.parametrize("method", METHODS)
def test_what_appears_before_the_switch_is_not_lost(site: Site, path: Path, method: Method) -> None:
    site.add("db", path, method=method)
    site.begin()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("precious")
    (error,) = site.finish().values()
    assert error.code is Code.PATH_OCCUPIED
    assert path.read_text() == "precious"
    assert not site.leftovers()


def test_discard_leaves_nothing(site: Site, path: Path) -> None:
    site.copy("db", path)
    site.begin()
    assert site.leftovers()
    site.places.discard()
    assert not site.leftovers()
    assert not path.exists()
    site.drop("db")
    assert not site.run()
    assert not site.before()


def test_a_forecast_writes_nothing(site: Site, path: Path) -> None:
    for name in ("gone", "same", "new"):
        site.copy(name, path.with_name(name))
    site.add("link", path.with_name("link"))
    site.run()
    site.drop("gone")
    site.copy("new", path.with_name("new"), b"another")
    site.add("link", path.with_name("link"), method=Method.COPY, plaintext_on_disk=True)
    site.add("fresh", path.with_name("fresh"))
    site.copy("first", path.with_name("below") / "first")
    path.with_name("taken").write_text("")
    site.copy("taken", path.with_name("taken"))
    before = {str(found): found.lstat() for found in site.folder.rglob("*")}
    wanted = {"gone": "remove", "new": "replace", "link": "replace", "fresh": "link", "first": "copy"}
    assert site.forecast() == {**wanted, "taken": "occupied"}
    blind = Places(site.manifest, site.caller, site.before()).forecast()
    # Without the values a copy is taken to be right as long as nobody touched it.
    assert {os.path.basename(found): verb for found, verb in blind} == {
        "gone": "remove",
        "link": "replace",
        "fresh": "link",
        "first": "copy",
        "taken": "occupied",
    }
    assert {str(found): found.lstat() for found in site.folder.rglob("*")} == before


@pytest.mark.parametrize("method", METHODS)
def test_an_entry_changes_its_phase(site: Site, path: Path, method: Method) -> None:
    """Its new phase takes the path over, whatever lies there, and the old one leaves it alone from then on."""
    site.add("db", path, method=method)
    site.run()
    users = Site(site.folder, "secrets-for-users")
    users.add("db", path, b"new", method=method)
    users.others = site.before()
    assert not users.run()
    site.drop("db")
    site.others = users.before()
    assert not site.run()
    assert not site.places.stuck
    assert users.in_place()
    assert not site.before()
