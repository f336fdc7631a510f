"""The look at a host: healthy secrets, drift, what cannot be opened, what is not activated yet."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from hosts import IS_ROOT, Host
from keys import ed25519_key
from looks import SOURCE, entry, inspect, install, install_two, later, live, off, only, states

from secretsmith.errors import Code


@pytest.fixture
def installed(host: Host) -> Host:
    return install_two(host)


def test_healthy(installed: Host) -> None:
    later(installed, 90)
    facts = inspect(installed)
    assert not off(facts)
    assert facts.is_well == IS_ROOT
    assert (facts.host, facts.scope, facts.manifest) == ("web1", "system", SOURCE)
    assert facts.activated == "2027-01-15T08:00:00+00:00"
    (phase,) = facts.phases
    assert (phase.phase, phase.generation, phase.current) == ("services", 1, True)
    assert states(facts) == {"db": "fresh", "web/tls.key": "fresh"}
    found = entry(facts, "web/tls.key")
    assert (found.mode, found.age, found.kind) == ("0440", 90, "secret")
    assert found.path == str(installed.directory / "web/tls.key")


def test_unchanged_and_age_since_the_last_change(installed: Host) -> None:
    later(installed, 3600)
    installed.add("new", b"value")
    install(installed)
    facts = inspect(installed)
    assert states(facts) == {"db": "unchanged", "web/tls.key": "unchanged", "new": "fresh"}
    assert (entry(facts, "db").age, entry(facts, "new").age) == (3600, 0)


def test_nothing_installed_yet(host: Host) -> None:
    host.add("db", b"hunter2", path=str(host.folder / "link"))
    facts = inspect(host)
    found = only(facts)
    assert (found.code, found.severity, found.path) == (Code.PENDING, "error", SOURCE)
    assert found.message == "nothing is installed yet: db"
    assert found.hint == f"secretsmith-activate {SOURCE}"
    assert states(facts) == {"db": "pending"}
    assert not host.generations.exists()
    assert not list(host.folder.rglob("*.lock"))


# Drift


def test_bytes_changed_by_hand(installed: Host) -> None:
    live(installed, "db").chmod(0o600)
    live(installed, "db").write_bytes(b"hunter3")
    live(installed, "db").chmod(0o400)
    facts = inspect(installed)
    found = only(facts)
    assert (found.code, found.severity) == (Code.CHANGED, "error")
    assert found.path == str(installed.directory / "db")
    assert found.message == "was changed since it was installed: its bytes are not those of its source"
    assert states(facts) == {"db": "changed", "web/tls.key": "fresh"}
    assert not facts.is_well


def test_bytes_changed_without_a_trace(installed: Host) -> None:
    """mmap(2) on a tmpfs changes no time stamp: only the comparison with the source tells."""
    path = live(installed, "db")
    before = path.stat()
    path.chmod(0o600)
    path.write_bytes(b"hunter3")
    path.chmod(0o400)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    state = installed.generations / "state.json"
    known = json.loads(state.read_text())
    now = path.stat()
    known["records"]["1"]["files"]["db"]["stamp"][3] = now.st_ctime_ns
    state.write_text(json.dumps(known))
    found = only(inspect(installed))
    assert "bytes" in found.message
    assert found.hint == f"touch {installed.directory}/db; secretsmith-activate {SOURCE}"


def test_mode_changed_by_hand(installed: Host) -> None:
    live(installed, "web/tls.key").chmod(0o444)
    facts = inspect(installed)
    assert only(facts).message == "was changed since it was installed: its mode is 0444, not 0440"
    assert entry(facts, "web/tls.key").mode == "0444"


@pytest.mark.usefixtures("as_root")
def test_owner_changed_by_hand(installed: Host) -> None:
    os.chown(live(installed, "db"), 12345, 54321)
    facts = inspect(installed)
    assert (
        only(facts).message == "was changed since it was installed: it belongs to 12345:54321, not root:root"
    )
    assert (entry(facts, "db").owner, entry(facts, "db").group) == ("12345", "54321")


def test_file_removed_by_hand(installed: Host) -> None:
    live(installed, "db").unlink()
    facts = inspect(installed)
    assert "it is missing, or no regular file" in only(facts).message
    assert entry(facts, "db").age is None


def test_symlink_in_a_files_place(installed: Host) -> None:
    live(installed, "db").unlink()
    live(installed, "db").symlink_to("/etc/passwd")
    assert "it is missing, or no regular file" in only(inspect(installed)).message


def test_touched_but_equal_is_no_finding(installed: Host) -> None:
    os.utime(live(installed, "db"))
    assert not off(inspect(installed))


def test_foreign_file_and_writable_folder_in_the_live_generation(installed: Host) -> None:
    live(installed, "intruder").write_text("x")
    (installed.directory.resolve() / "web").chmod(0o777)
    foreign, writable = sorted(off(inspect(installed)), key=lambda found: found.severity, reverse=True)
    assert (foreign.code, foreign.path) == (Code.UNDECLARED, str(installed.directory / "intruder"))
    assert (writable.severity, writable.path) == ("error", str(installed.generations / "1/web"))
    assert "mode 0777" in writable.message


def test_what_the_command_says_mends_it(installed: Host) -> None:
    live(installed, "db").unlink()
    live(installed, "web/tls.key").chmod(0o444)
    (installed.generations / "7.tmp").mkdir()
    assert len(off(inspect(installed))) == 3
    install(installed)
    assert not off(inspect(installed))


# What cannot be opened


def test_stale(installed: Host) -> None:
    installed.add("db", b"hunter2", ed25519_key())
    later(installed, 10)
    install(installed)
    later(installed, 600)
    facts = inspect(installed)
    found = only(facts)
    assert (found.code, found.severity) == (Code.NO_IDENTITY, "error")
    assert found.path == str(installed.directory / "db")
    assert found.message.startswith("stale since 2027-01-15T08:00:10+00:00: ")
    assert "on your workstation: " in found.hint
    assert (entry(facts, "db").state, entry(facts, "db").since) == ("stale", "2027-01-15T08:00:10+00:00")
    assert entry(facts, "db").code == Code.NO_IDENTITY


def test_stale_and_changed_by_hand(installed: Host) -> None:
    installed.add("db", b"hunter2", ed25519_key())
    install(installed)
    live(installed, "db").chmod(0o444)
    messages = [found.message for found in off(inspect(installed))]
    assert any("its source cannot be opened to compare it" in message for message in messages)


def test_missing_and_not_required(installed: Host) -> None:
    installed.add("other", b"hunter2", ed25519_key())
    installed.add("spare", b"hunter2", ed25519_key(), required=False)
    install(installed)
    facts = inspect(installed)
    assert only(facts).path == str(installed.directory / "other")
    assert only(facts).message.startswith("missing: ")
    assert entry(facts, "spare").state == "missing"
    assert [found.path for found in facts.findings if found.severity == "info"] == [
        str(installed.directory / "spare")
    ]


def test_refused_by_the_manifests_readers(host: Host) -> None:
    host.add("db", b"hunter2")
    host.add("foreign", b"hunter2", readers=["SHA256:" + "A" * 43])
    host.manifest["secrets"][1]["source"] = str(host.encrypt("foreign", b"x", ed25519_key()))
    install(host)
    facts = inspect(host)
    assert entry(facts, "foreign").state == "refused"
    assert not facts.is_well


def test_no_key_opens_anything(installed: Host) -> None:
    installed.reinstall()
    facts = inspect(installed)
    whole = next(found for found in off(facts) if found.code == Code.NO_IDENTITY)
    assert "this host's key does not open any of its 2 secret files" in whole.message
    assert whole.hint.split("\n")[-1].startswith("on your workstation: secretsmith host reprovision web1")
    assert states(facts) == {"db": "stale", "web/tls.key": "stale"}


def test_unknown_owner(installed: Host) -> None:
    if not IS_ROOT:
        pytest.skip("needs root")
    installed.add("db", b"hunter2", owner="nobody-of-that-name")
    found = next(found for found in off(inspect(installed)) if found.code == Code.OWNER)
    assert "the user nobody-of-that-name does not exist on this host" in found.message


# Not activated yet


def test_manifest_is_newer(installed: Host) -> None:
    installed.add("new", b"value")
    installed.add("db", b"hunter4")
    installed.drop("web/tls.key")
    facts = inspect(installed)
    found = only(facts)
    assert (found.code, found.severity, found.path) == (Code.PENDING, "warning", SOURCE)
    assert found.message.endswith("is not activated yet; new or changed: new, db; no more: web/tls.key")
    assert states(facts) == {"new": "pending", "db": "pending"}
    assert not facts.phases[0].current


def test_drift_is_told_from_what_is_not_activated_yet(installed: Host) -> None:
    installed.add("new", b"value")
    live(installed, "db").chmod(0o444)
    facts = inspect(installed)
    assert states(facts) == {"new": "pending", "db": "changed", "web/tls.key": "fresh"}
    assert {(found.code, found.path) for found in off(facts)} == {
        (Code.PENDING, SOURCE),
        (Code.CHANGED, str(installed.directory / "db")),
    }


def test_a_manifest_that_changes_no_secret_is_only_told(installed: Host) -> None:
    installed.manifest["keep"] = 3
    facts = inspect(installed)
    assert not off(facts)
    assert [found.code for found in facts.findings if found.severity == "info"] == [Code.PENDING]


def test_live_link_to_nothing(installed: Host) -> None:
    shutil.rmtree(installed.directory.resolve())
    facts = inspect(installed)
    assert (only(facts).code, only(facts).path) == (Code.TARGET, str(installed.directory))
    assert set(states(facts).values()) == {"missing"}
