"""From a manifest to a generation, from one generation to the next, and nothing at all when nothing changed."""

from __future__ import annotations

import json
import os
import stat

import pytest
from hosts import Host

from secretsmith.activation.engine import activate
from secretsmith.activation.plan import State
from secretsmith.activation.state import Moment
from secretsmith.errors import ExitCode

pytestmark = pytest.mark.usefixtures("open_descriptors")


def test_first_activation(host: Host) -> None:
    host.add("db", b"hunter2", mode="0440")
    host.add("web/tls/key", b"\x00\xff\n")
    report = host.run()
    assert report.exit_code is ExitCode.OK
    assert report.summary() == "web1: generation 1: +2 new, 0 changed, 0 unchanged, 0 removed"
    assert host.installed() == {"db": b"hunter2", "web/tls/key": b"\x00\xff\n"}
    assert os.readlink(host.directory) == f"{host.generations}/1"
    modes = {
        path: stat.S_IMODE((host.directory / path).stat().st_mode)
        for path in ("db", "web/tls/key", "web", "web/tls", ".")
    }
    assert modes == {"db": 0o440, "web/tls/key": 0o400, "web": 0o751, "web/tls": 0o751, ".": 0o751}
    assert host.states() == {"db": "fresh", "web/tls/key": "fresh"}


def test_next_generation_is_counted(host: Host) -> None:
    for name in ("a", "b", "c", "d", "e"):
        host.add(name, name.encode())
    host.run()
    host.add("a", b"another value")
    host.add("b", b"b", mode="0440")
    host.drop("c")
    host.add("f", b"f")
    report = host.run()
    assert report.summary() == "web1: generation 2: +1 new, 2 changed, 2 unchanged, 1 removed"
    assert set(host.installed()) == {"a", "b", "d", "e", "f"}
    assert {name: state for name, state in host.states().items() if state == "unchanged"} == {
        "d": "unchanged",
        "e": "unchanged",
    }
    assert report.removed == ("c",)


def test_same_input_does_nothing(host: Host) -> None:
    host.add("db")
    host.run()
    before = _everything(host)
    host.moment = Moment(5e9, 9e9)
    keys_read: list[str] = []
    (report,) = activate(host.data(), host.options(), shield=lambda: keys_read.append("one")).reports
    assert report.nothing_done
    assert report.summary() == "web1: generation 1: nothing to do, 1 unchanged"
    assert not keys_read
    assert _everything(host) == before


def _everything(host: Host) -> dict[str, tuple[int, ...]]:
    return {
        str(path): (found.st_ino, found.st_mtime_ns, found.st_mode)
        for path in host.folder.rglob("*")
        if not path.name.endswith(".lock") and (found := path.lstat())
    }


@pytest.mark.parametrize("what", ["value", "mode", "gone", "link", "key", "status", "custom"])
def test_tampering_is_seen_and_healed(host: Host, what: str) -> None:
    host.add("db", path=str(host.folder / "etc" / "db"))
    host.run()
    file = host.directory / "db"
    if what == "value":
        file.chmod(0o600)
        file.write_bytes(b"evil!")
    elif what == "mode":
        file.chmod(0o444)
    elif what == "gone":
        file.unlink()
    elif what == "link":
        host.directory.unlink()
    elif what == "status":
        host.status_file.unlink()
    elif what == "custom":
        (host.folder / "etc" / "db").unlink()
    else:
        host.key_file.touch()
    report = host.run()
    assert not report.nothing_done
    assert host.installed() == {"db": b"value"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    assert (host.folder / "etc" / "db").read_bytes() == b"value"
    assert host.status_file.exists()
    assert host.run().nothing_done


def test_a_new_file_with_the_same_value_makes_no_generation(host: Host) -> None:
    host.add("db", b"same")
    host.run()
    host.add("db", b"same")  # encrypted anew: other bytes on disk
    report = host.run()
    assert not report.nothing_done
    assert report.generation == 1
    assert report.decisions[0].state is State.UNCHANGED
    assert host.run().nothing_done


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_pruning(host: Host, keep: int) -> None:
    host.manifest["keep"] = keep
    for number in range(5):
        host.add("db", str(number).encode())
        host.run()
    kept = {path.name for path in host.generations.iterdir() if path.is_dir()}
    assert kept == {str(number) for number in range(6 - keep, 6)}
    records = json.loads((host.generations / "state.json").read_text())["records"]
    assert set(records) == kept


def test_foreign_names_are_left_alone(host: Host) -> None:
    host.manifest["keep"] = 1
    host.add("db", b"1")
    host.run()
    foreign = ["0", "01", "x", "1x", "-1", "9.tmp.d", "99999999999999999999"]
    for name in foreign:
        (host.generations / name).mkdir()
        (host.generations / name / "file").write_text("mine")
    (host.generations / "note.txt").write_text("mine")
    host.add("db", b"2")
    assert host.run().generation == 2
    assert {path.name for path in host.generations.iterdir()} == {*foreign, "note.txt", "2", "state.json"}
    assert all((host.generations / name / "file").read_text() == "mine" for name in foreign)


def test_leftovers_are_removed(host: Host) -> None:
    host.add("db", b"1")
    host.run()
    for name in ("2.tmp", "3"):
        (host.generations / name / "deep").mkdir(parents=True)
        (host.generations / name / "deep" / "value").write_text("half")
    outside = host.folder / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    (host.generations / "2.tmp" / "link").symlink_to(outside)
    (host.generations / "5.tmp").symlink_to(outside)
    (host.directory.parent / ".secrets.secretsmith-tmp").symlink_to("x")
    host.add("db", b"2")
    assert host.run().generation == 2
    assert {path.name for path in host.generations.iterdir()} == {"1", "2", "state.json"}
    assert (outside / "precious").read_text() == "precious"
    assert not list(host.directory.parent.glob("*secretsmith-tmp*"))


def test_no_secrets_is_an_empty_generation(host: Host) -> None:
    assert host.run().exit_code is ExitCode.OK
    assert host.installed() == {}
    assert host.run().nothing_done


def test_a_lost_generation_is_made_again(host: Host) -> None:
    host.add("db")
    host.run()
    (host.generations / "1" / "db").unlink()
    (host.generations / "1").rmdir()
    (host.generations / "state.json").unlink()
    assert host.run().generation == 2
    assert host.installed() == {"db": b"value"}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '{"version": 2}', '{"version": 1, "records": 3, "links": {}}', "[" * 9999),
        '{"version": 1, "records": {"1": {"inputs": "x", "complete": true, "files": {"db": 3}}}, "links": {}}',
    ],
)
def test_a_damaged_state_is_said_and_made_anew(host: Host, text: str) -> None:
    host.add("db")
    host.run()
    (host.generations / "state.json").write_text(text)
    report = host.run()
    assert any("E_STATE" in note for note in report.notes)
    assert report.exit_code is ExitCode.OK
    assert host.installed() == {"db": b"value"}
    assert host.run().nothing_done


@pytest.mark.parametrize("wall", [0.0, 4_102_444_800.0])
def test_the_clock_may_say_anything(host: Host, wall: float) -> None:
    host.moment = Moment(wall, 1.0)
    host.add("db")
    assert host.run().exit_code is ExitCode.OK
    assert host.status()["time"].startswith(("1970", "2100"))


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("how", ["chmod", "chown", "plant"])
def test_an_old_generation_that_was_opened_up_does_not_stay(host: Host, how: str) -> None:
    host.add("db", b"1")
    host.run()
    old = host.directory.resolve() / "db"
    if how == "chmod":
        old.chmod(0o644)
    elif how == "chown":
        os.chown(old, 1, 1)
    else:
        old.with_name("planted").write_text("x")
    host.add("db", b"2")
    host.run()
    assert not old.parent.exists()
    host.add("db", b"3")
    host.run()
    assert {path.name for path in host.generations.iterdir() if path.name.isdigit()} == {"2", "3"}


def test_a_secret_that_is_taken_away_is_gone_from_older_generations_too(host: Host) -> None:
    host.add("db", b"stays")
    host.add("deep/gone", b"canary")
    host.run()
    host.drop("deep/gone")
    host.run()
    left = {path.relative_to(host.generations) for path in host.generations.rglob("*") if path.is_file()}
    assert {str(path) for path in left} == {"1/db", "2/db", "state.json"}
    assert host.run().nothing_done
