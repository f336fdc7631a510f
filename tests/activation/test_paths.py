"""Custom paths: a link where a program looks, never through a symlink, never over something of somebody else."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hosts import Host, path_refused

from secretsmith.activation.places.places import Places
from secretsmith.errors import Code, ExitCode, SecretsmithError

pytestmark = pytest.mark.usefixtures("open_descriptors")


def test_a_link_is_made_with_its_folders(host: Host, path: Path) -> None:
    assert host.run().exit_code is ExitCode.OK
    assert os.readlink(path) == f"{host.directory}/db"
    assert path.read_bytes() == b"value"
    assert path.parent.stat().st_mode & 0o7777 == 0o755
    assert host.status()["secrets"]["db"]["path"] == str(path)


def test_it_follows_the_live_generation(host: Host, path: Path) -> None:
    host.run()
    before = path.lstat()
    host.add("db", b"2", path=str(path))
    host.run()
    assert path.read_bytes() == b"2"
    assert path.lstat().st_ino == before.st_ino, "the link itself stays"


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling"])
def test_what_is_not_ours_is_never_replaced(host: Host, path: Path, kind: str) -> None:
    path.parent.mkdir(parents=True)
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/etc/passwd" if kind == "link" else "/nowhere")
    before = path.lstat()
    assert "never deleted" in next(host.run().errors()).hints[0]
    path_refused(host, host.run(), Code.PATH_OCCUPIED)
    assert path.lstat() == before


def test_our_own_link_is_replaced(host: Host, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(f"{host.directory}/old-name")
    assert host.run().exit_code is ExitCode.OK
    assert path.read_bytes() == b"value"


def test_a_link_like_ours_is_not_ours(host: Host, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(f"{host.directory}-of-another/db")
    path_refused(host, host.run(), Code.PATH_OCCUPIED)


def test_the_link_of_a_dropped_secret_goes(host: Host, path: Path) -> None:
    host.run()
    host.drop("db")
    host.run()
    assert not os.path.lexists(path)
    assert path.parent.is_dir()


def test_a_dropped_path_that_was_changed_stays(host: Host, path: Path) -> None:
    host.run()
    path.unlink()
    path.write_text("mine now")
    host.drop("db")
    host.run()
    assert path.read_text() == "mine now"


def test_a_failure_while_copies_are_prepared_leaves_none(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = host.folder / "etc" / "db"
    host.add("db", path=str(copy), method="copy", plaintext_on_disk=True)
    real = Places.prepare

    def failing(places: Places, files: Any) -> Any:
        real(places, files)
        assert [*copy.parent.iterdir()], "a copy was written"
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(Places, "prepare", failing)
        with pytest.raises(SecretsmithError):
            host.run()
    assert not [*copy.parent.iterdir()]
    assert host.run().exit_code is ExitCode.OK
    assert copy.read_bytes() == b"value"
