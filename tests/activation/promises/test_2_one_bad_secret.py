"""Promise 2: one bad secret takes no other with it. The exit code is not 0, the report says why and what to do, and its
last good value stays as long as the manifest allows.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hosts import IS_ROOT, Host, fingerprint
from keys import ed25519_key
from worlds import OPTIONS, add_document, add_template, copied, tree

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
    (sops, Code.FORMAT, ExitCode.ERROR, "missing"),
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


@pytest.mark.usefixtures("as_root")
def test_a_template_of_an_unknown_owner_takes_no_secret_with_it(host: Host) -> None:
    host.add("db", b"value")
    add_template(host, "good.env", "A=@a@", {"@a@": "db"})
    add_template(host, "bad.env", "A=@a@", {"@a@": "db"}, owner="no-such-user")
    report = host.run()
    assert [error.code for error in report.errors()] == [Code.OWNER]
    assert host.installed() == {"db": b"value", "good.env": b"A=value"}
    assert host.states()["bad.env"] == "refused"


def test_the_new_mode_goes_with_a_stale_copy(host: Host) -> None:
    place = host.folder / "etc" / "bad"
    host.add("bad", b"old", **copied(place))
    host.run()
    for_another(host)
    host.manifest["secrets"][0]["mode"] = "0440"
    report = host.run()
    assert report.exit_code is ExitCode.CANNOT_DECRYPT
    assert (place.read_bytes(), place.stat().st_mode & 0o7777) == (b"old", 0o440)
    assert host.states() == {"bad": "stale"}


@pytest.mark.usefixtures("as_root")
def test_the_new_owner_goes_with_a_stale_value(host: Host) -> None:
    place = host.folder / "etc" / "bad"
    host.add("bad", b"old", owner="1", group="1", **copied(place))
    host.run()
    for_another(host)
    host.manifest["secrets"][0] |= {"owner": "2", "group": "3"}
    assert host.run().exit_code is ExitCode.CANNOT_DECRYPT
    for path in (place, host.directory / "bad"):
        found = path.stat()
        assert (found.st_uid, found.st_gid, path.read_bytes()) == (2, 3, b"old")
    # And to nobody but root once it has no owner, wherever it lies.
    host.manifest["secrets"][0] |= {"owner": "no-such-user"}
    assert host.run().exit_code is ExitCode.ERROR
    for path in (place, host.directory / "bad"):
        found = path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 0, 0o400)


def test_a_copy_goes_with_a_value_that_may_not_stay(host: Host) -> None:
    place = host.folder / "etc" / "bad"
    host.manifest["host_key"] = fingerprint(host.key)
    host.add("bad", b"old", readers=[fingerprint(host.key)], **copied(place))
    host.add("good", b"good", **copied(host.folder / "etc" / "good"))
    host.run()
    for_another(host)
    host.manifest["secrets"][0]["readers"] = [fingerprint(ed25519_key())]
    assert host.run().exit_code is ExitCode.CANNOT_DECRYPT
    assert [path.name for path in place.parent.iterdir()] == ["good"]
    assert host.states() == {"bad": "refused", "good": "unchanged"}


class TestDocuments:
    """Several secrets of one sops document."""

    def test_a_key_that_is_missing(self, host: Host) -> None:
        add_document(host, "all.yaml", b"a: 1\nb: 2\n", a="a", b="b", c="c")
        report = host.run()
        (error,) = report.errors()
        assert (error.code, report.exit_code) == (Code.NOT_FOUND, ExitCode.NOT_FOUND)
        assert host.installed() == {"a": b"1", "b": b"2"}

    def test_the_last_good_value_is_of_the_same_key(self, host: Host) -> None:
        add_document(host, "all.yaml", b"a: old a\nb: old b\n", a="a", b="b")
        host.add("good", b"good")
        host.run()
        (host.folder / "all.yaml").write_bytes(b"damaged: [")
        host.manifest["secrets"][1] |= {"name": "renamed"}
        assert host.run().exit_code is not ExitCode.OK
        # An id is a secret's name unless the builder says otherwise, so a renamed one has no earlier value.
        assert host.installed() == {"a": b"old a", "good": b"good"}
        host.manifest["secrets"][0]["key"] = "b"
        host.run()
        assert host.installed() == {"good": b"good"}

    def test_one_document_for_another_host(self, host: Host) -> None:
        add_document(host, "ours.json", b'{"a": "ours"}', a="a")
        add_document(host, "theirs.json", b'{"b": "theirs"}', ed25519_key(), b="b")
        report = host.run()
        assert [error.code for error in report.errors()] == [Code.NO_IDENTITY]
        assert host.installed() == {"a": b"ours"}


class TestTemplates:
    """A template is as good as the values in it."""

    @pytest.fixture
    def site(self, host: Host) -> Host:
        host.add("good", b"good")
        host.add("bad", b"old", id="secrets/bad.age")
        add_template(host, "both.env", "G=@g@ B=@b@", {"@g@": "good", "@b@": "bad"})
        add_template(host, "one.env", "G=@g@", {"@g@": "good"})
        return host

    def test_without_an_earlier_value_only_that_template_is_missing(self, site: Host) -> None:
        gone(site)
        report = site.run()
        assert report.exit_code is ExitCode.NOT_FOUND
        assert site.installed() == {"good": b"good", "one.env": b"G=good"}
        assert site.states() == {"good": "fresh", "bad": "missing", "both.env": "missing", "one.env": "fresh"}
        messages = [error.message for error in report.errors()]
        assert any(message.startswith("web1: both.env: needs bad: ") for message in messages)

    def test_it_is_filled_with_the_last_good_value(self, site: Host) -> None:
        site.run()
        gone(site)
        site.add("good", b"new")
        report = site.run()
        assert report.exit_code is ExitCode.NOT_FOUND
        assert site.installed()["both.env"] == b"G=new B=old"
        assert (site.states()["both.env"], site.states()["one.env"]) == ("stale", "fresh")
        assert site.status()["secrets"]["both.env"]["since"] == site.status()["secrets"]["bad"]["since"]

    def test_not_for_a_host_that_was_left_out(self, site: Host) -> None:
        site.manifest["host_key"] = fingerprint(site.key)
        site.run()
        for_another(site)
        site.manifest["secrets"][1]["readers"] = [fingerprint(ed25519_key())]
        site.run()
        assert site.installed() == {"good": b"good", "one.env": b"G=good"}
        assert site.states()["both.env"] == "refused"

    def test_not_longer_than_the_secret(self, site: Host) -> None:
        site.manifest["secrets"][1]["max_stale"] = "1h"
        site.run()
        gone(site)
        site.run()
        assert site.installed()["both.env"] == b"G=good B=old"
        site.moment = Moment(site.moment.wall, site.moment.boot + 3601)
        site.run()
        assert site.installed() == {"good": b"good", "one.env": b"G=good"}
        assert site.states()["both.env"] == "missing"

    @pytest.mark.parametrize(
        ("content", "kind"), [("nothing to replace", "raw"), ("[1, @b@, ", "json"), ("@b@ = [", "toml")]
    )
    def test_a_template_that_cannot_be_filled_keeps_its_last_text(
        self, site: Host, content: str, kind: str
    ) -> None:
        site.run()
        add_template(site, "both.env", content, {"@b@": "bad"}, kind)
        add_template(site, "more.env", content, {"@b@": "bad"}, kind)
        report = site.run()
        assert [error.code for error in report.errors()] == [Code.TEMPLATE] * 2
        assert report.exit_code is ExitCode.ERROR
        # It was made of other secrets than the manifest now wants in it, so that one is not kept either.
        assert site.installed() == {"good": b"good", "bad": b"old", "one.env": b"G=good"}
        add_template(site, "one.env", content.replace("@b@", "@g@"), {"@g@": "good"}, kind)
        site.run()
        assert site.installed()["one.env"] == b"G=good"
        assert (site.states()["one.env"], site.states()["both.env"]) == ("stale", "refused")


def test_a_broken_secret_of_one_phase_leaves_the_other(host: Host) -> None:
    host.add("good", b"good")
    host.add("bad", b"x", phase="users")
    host.add("password", b"p", phase="users")
    gone(host)
    outcome = host.run_all()
    assert outcome.exit_code is ExitCode.NOT_FOUND
    assert host.installed() == {"good": b"good"}
    assert set(tree(host.directory.with_name("secrets-for-users"))) == {"password"}
    assert host.states() == {"good": "fresh", "bad": "missing", "password": "fresh"}


def test_the_program_names_what_is_broken_and_the_command(host: Host) -> None:
    """One line for each broken secret, with the file and the reason; a hint that can be pasted."""
    host.add("good", b"good")
    host.add("bad", b"canary-value", path=str(host.folder / "etc" / "bad"))
    assert host.door(*OPTIONS).returncode == 0
    for_another(host)
    host.add("other", b"canary-value")
    found = host.door(*OPTIONS)
    assert found.returncode == 5
    lines = [line for line in found.stderr.splitlines() if "NOT RAM" not in line]
    assert lines[0].startswith(
        f"secretsmith: error: web1: bad: {host.folder}/bad.age is not encrypted for this host"
    )
    assert lines[0].endswith("; its last good value stays (stale)")
    assert any(line.startswith("secretsmith: hint: on your workstation: secretsmith ") for line in lines[1:])
    assert "+1 new" in found.stdout and "1 stale" in found.stdout
    assert (host.folder / "etc" / "bad").read_bytes() == b"canary-value"
    assert "canary" not in found.stdout + found.stderr + host.status_file.read_text()
