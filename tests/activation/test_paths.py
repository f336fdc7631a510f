"""Custom paths: a link where a program looks, never through a symlink, never over something of somebody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hosts import Host

from secretsmith.activation.report import Report
from secretsmith.errors import Code, ExitCode

pytestmark = pytest.mark.usefixtures("open_descriptors")


def refused(host: Host, report: Report, code: Code) -> str:
    """The value itself is installed, the link is not, and it is said."""
    (error,) = report.errors()
    assert (error.code, report.exit_code) == (code, ExitCode.ERROR)
    assert error.message.startswith("web1: db: ")
    assert host.installed() == {"db": b"value", "other": b"value"}
    assert host.status()["secrets"]["db"]["code"] == code
    return error.message


@pytest.fixture
def path(host: Host) -> Path:
    found = host.folder / "etc" / "app" / "db"
    host.add("db", path=str(found))
    host.add("other")
    return found


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
    refused(host, host.run(), Code.PATH_OCCUPIED)
    assert path.lstat() == before


def test_our_own_link_is_replaced(host: Host, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(f"{host.directory}/old-name")
    assert host.run().exit_code is ExitCode.OK
    assert path.read_bytes() == b"value"


def test_a_link_like_ours_is_not_ours(host: Host, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(f"{host.directory}-of-another/db")
    refused(host, host.run(), Code.PATH_OCCUPIED)


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
