"""One bad secret: the others are installed, its last good value stays, and the exit code says what was wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hosts import IS_ROOT, Host, fingerprint
from keys import ed25519_key

from secretsmith.activation.state import Moment
from secretsmith.errors import Code, ExitCode

pytestmark = pytest.mark.usefixtures("open_descriptors")
Breakage = Callable[[Host], None]


def for_another(host: Host) -> None:
    host.encrypt("bad", b"new", ed25519_key())


def gone(host: Host) -> None:
    (host.folder / "bad.age").unlink()


def damaged(host: Host) -> None:
    path = host.folder / "bad.age"
    path.write_bytes(path.read_bytes()[:-1])


def no_age_file(host: Host) -> None:
    (host.folder / "bad.age").write_bytes(b"plain text")


def empty(host: Host) -> None:
    (host.folder / "bad.age").write_bytes(b"")


def folder(host: Host) -> None:
    (host.folder / "bad.age").unlink()
    (host.folder / "bad.age").mkdir()


def symlink(host: Host) -> None:
    (host.folder / "bad.age").unlink()
    (host.folder / "bad.age").symlink_to("/etc/shadow")


def fifo(host: Host) -> None:
    import os

    (host.folder / "bad.age").unlink()
    os.mkfifo(host.folder / "bad.age")


def sops(host: Host) -> None:
    host.manifest["secrets"][1]["format"] = "yaml"


CASES = [
    (for_another, Code.NO_IDENTITY, ExitCode.CANNOT_DECRYPT, "missing"),
    (gone, Code.NOT_FOUND, ExitCode.NOT_FOUND, "missing"),
    (damaged, Code.AGE_TRUNCATED, ExitCode.INTEGRITY, "missing"),
    (no_age_file, Code.FORMAT, ExitCode.ERROR, "missing"),
    (empty, Code.EMPTY, ExitCode.ERROR, "missing"),
    (folder, Code.NOT_REGULAR, ExitCode.ERROR, "missing"),
    (symlink, Code.NOT_REGULAR, ExitCode.ERROR, "missing"),
    (fifo, Code.NOT_REGULAR, ExitCode.ERROR, "missing"),
    (sops, Code.UNSUPPORTED, ExitCode.ERROR, "refused"),
]


@pytest.mark.parametrize(
    ("breakage", "code", "exit_code", "state"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_one_bad_secret_takes_no_other_with_it(
    host: Host, breakage: Breakage, code: Code, exit_code: ExitCode, state: str
) -> None:
    host.add("good", b"good")
    host.add("bad", b"old")
    host.add("last", b"last")
    breakage(host)
    report = host.run()
    assert host.installed() == {"good": b"good", "last": b"last"}
    (error,) = report.errors()
    assert (error.code, report.exit_code) == (code, exit_code)
    assert error.message.startswith("web1: bad: ")
    assert str(host.folder / "bad.age") in error.message
    assert "\n" not in error.message
    assert host.states() == {"good": "fresh", "bad": state, "last": "fresh"}
    assert not host.run().nothing_done, "a failure is tried again"


@pytest.mark.parametrize(
    ("breakage", "code", "exit_code", "state"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_the_last_good_value_stays(
    host: Host, breakage: Breakage, code: Code, exit_code: ExitCode, state: str
) -> None:
    host.add("good", b"good")
    host.add("bad", b"old", id="secrets/bad.age")
    host.run()
    breakage(host)
    host.add("more", b"more")
    report = host.run()
    assert report.generation == 2
    assert report.exit_code is exit_code
    assert host.installed() == {"good": b"good", "bad": b"old", "more": b"more"}
    assert host.states()["bad"] == "stale"
    assert host.status()["secrets"]["bad"]["since"].startswith("2027-01-15")
    assert next(report.errors()).message.endswith("; its last good value stays (stale)")
    since = host.status()["secrets"]["bad"]["since"]
    host.moment = Moment(host.moment.wall + 86400, host.moment.boot + 86400)
    again = host.run()
    assert (again.generation, again.exit_code) == (2, exit_code)
    assert host.status()["secrets"]["bad"]["since"] == since, "stale since the first failure"


def test_a_stale_value_heals(host: Host) -> None:
    host.add("bad", b"old")
    host.run()
    for_another(host)
    host.run()
    host.encrypt("bad", b"new")
    report = host.run()
    assert report.exit_code is ExitCode.OK
    assert host.installed() == {"bad": b"new"}
    assert host.states() == {"bad": "fresh"}
    assert host.run().nothing_done


def test_a_stale_value_follows_its_source_and_gets_the_new_mode(host: Host) -> None:
    host.add("bad", b"old", id="secrets/bad.age")
    host.run()
    for_another(host)
    host.manifest["secrets"][0] |= {"name": "renamed/bad", "mode": "0440"}
    host.run()
    assert host.installed() == {"renamed/bad": b"old"}
    assert (host.directory / "renamed/bad").stat().st_mode & 0o777 == 0o440


@pytest.mark.parametrize("change", [{"id": "secrets/other.age"}, {"format": "yaml", "key": "a"}])
def test_another_source_is_another_value(host: Host, change: dict[str, str]) -> None:
    host.add("bad", b"old", id="secrets/bad.age")
    host.run()
    for_another(host)
    host.manifest["secrets"][0] |= change
    host.run()
    assert host.installed() == {}


def test_no_stale_value_for_a_host_that_was_left_out(host: Host) -> None:
    host.manifest["host_key"] = fingerprint(host.key)
    host.add("bad", b"old", readers=[fingerprint(host.key)])
    host.run()
    assert host.installed() == {"bad": b"old"}
    for_another(host)
    host.manifest["secrets"][0]["readers"] = [fingerprint(ed25519_key())]
    report = host.run()
    assert report.exit_code is ExitCode.CANNOT_DECRYPT
    assert host.installed() == {}
    assert host.states() == {"bad": "refused"}


def test_left_out_is_judged_by_the_registry_not_by_the_key_at_hand(host: Host) -> None:
    old = host.key
    host.manifest["host_key"] = fingerprint(old)
    host.add("bad", b"old", readers=[fingerprint(old)])
    host.run()
    host.reinstall()
    host.run()
    assert host.installed() == {"bad": b"old"}


def test_max_stale(host: Host) -> None:
    host.add("bad", b"old", max_stale="2h")
    host.run()
    for_another(host)
    host.run()
    # The wall clock jumps, as it does at boot; only time that passed counts.
    host.moment = Moment(5e9, host.moment.boot + 7199)
    host.run()
    assert host.installed() == {"bad": b"old"}
    host.moment = Moment(0.0, host.moment.boot + 2)
    report = host.run()
    assert host.installed() == {}
    assert host.states() == {"bad": "missing"}
    assert report.exit_code is ExitCode.CANNOT_DECRYPT


def test_what_is_not_required_does_not_fail(host: Host) -> None:
    host.add("good")
    host.add("bad", required=False)
    for_another(host)
    report = host.run()
    assert report.exit_code is ExitCode.OK
    assert not list(report.errors())
    assert any("web1: bad: " in remark and remark.endswith("(not required)") for remark in report.remarks())
    assert host.states() == {"good": "fresh", "bad": "missing"}
    assert not host.run().nothing_done


def test_the_worst_failure_names_the_exit_code(host: Host) -> None:
    host.add("good")
    host.add("bad", b"x")
    gone(host)
    host.add("other", b"x", ed25519_key())
    assert host.run().exit_code is ExitCode.CANNOT_DECRYPT
    host.drop("other")
    assert host.run().exit_code is ExitCode.NOT_FOUND


@pytest.mark.usefixtures("as_root")
def test_unknown_owner(host: Host) -> None:
    host.add("good")
    host.add("bad", b"old", owner="daemon", mode="0440")
    host.run()
    assert (host.directory / "bad").stat().st_uid == 1
    for field, name in (("owner", "no-such-user"), ("group", "no-such-group")):
        host.manifest["secrets"][1] |= {"owner": "daemon", "group": "daemon", field: name}
        report = host.run()
        found = (host.directory / "bad").stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 0, 0o400)
        assert host.installed() == {"good": b"value", "bad": b"old"}
        (error,) = report.errors()
        assert (error.code, report.exit_code) == (Code.OWNER, ExitCode.ERROR)
        assert name in error.message


@pytest.mark.usefixtures("as_root")
def test_unknown_owner_without_an_earlier_value(host: Host) -> None:
    host.add("good")
    host.add("bad", owner="no-such-user")
    assert host.run().exit_code is ExitCode.ERROR
    assert host.installed() == {"good": b"value"}
    assert host.states()["bad"] == "refused"


class Directory:
    """Users and groups of a test."""

    def __init__(self, **uids: int) -> None:
        self.uids = uids

    def uid(self, name: str) -> int | None:
        return self.uids.get(name)

    gid = uid


@pytest.mark.usefixtures("as_root")
def test_an_owner_that_appears_or_moves_is_a_change(host: Host) -> None:
    host.add("db", owner="postgres", group="postgres")
    assert host.run(accounts=Directory()).exit_code is ExitCode.ERROR
    assert host.run(accounts=Directory(postgres=70)).exit_code is ExitCode.OK
    assert (host.directory / "db").stat().st_uid == 70
    assert host.run(accounts=Directory(postgres=70)).nothing_done
    report = host.run(accounts=Directory(postgres=71))
    assert "1 changed" in report.summary()
    assert (host.directory / "db").stat().st_gid == 71


def test_decimal_owners_need_no_account(host: Host) -> None:
    host.add("db", owner="12345", group="54321")
    host.run()
    found = (host.directory / "db").stat()
    assert (found.st_uid, found.st_gid) == ((12345, 54321) if IS_ROOT else (found.st_uid, found.st_gid))
