"""Attacks on root from users of the same host, and places that are not what the manifest thinks they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hosts import IS_ROOT, Host, environment, mount
from keys import ed25519_key

from secretsmith.activation import generations, install
from secretsmith.activation.ramdisk import Memory
from secretsmith.errors import Code, ExitCode, SecretsmithError

pytestmark = pytest.mark.usefixtures("open_descriptors")


@pytest.fixture
def forged(host: Host) -> Path:
    """A secret of user 1, who has written something else into it (the mode is no hindrance to an owner)."""
    host.add("bad", b"good", id="secrets/bad.age", owner="1", group="1")
    host.run()
    file = (host.directory / "bad").resolve()
    file.write_bytes(b"evil")
    host.encrypt("bad", b"new", ed25519_key())
    return file


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("change", [{"owner": "2"}, {"owner": "0"}, {"owner": "no-such-user"}])
def test_what_an_owner_wrote_is_never_carried_to_another(
    host: Host, forged: Path, change: dict[str, str]
) -> None:
    host.manifest["secrets"][0] |= change
    host.run()
    assert b"evil" not in host.installed().values()
    assert host.states()["bad"] in ("missing", "refused")


@pytest.mark.usefixtures("as_root", "forged")
def test_what_an_owner_wrote_stays_with_that_owner(host: Host) -> None:
    host.run()
    assert host.installed() == {"bad": b"evil"}


@pytest.mark.usefixtures("as_root")
def test_an_untouched_value_goes_to_a_new_owner_even_after_a_kill(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    host.add("bad", b"good", owner="1", group="1")
    with monkeypatch.context() as patch:
        patch.setattr(install, "_finish", killed)
        with pytest.raises(KeyboardInterrupt):
            host.run()
    host.encrypt("bad", b"new", ed25519_key())
    host.manifest["secrets"][0] |= {"owner": "2"}
    host.run()
    assert host.installed() == {"bad": b"good"}
    assert (host.directory / "bad").stat().st_uid == 2


def test_a_file_that_its_owner_blew_up_is_not_read(host: Host) -> None:
    host.add("db")
    host.run()
    (host.directory / "db").chmod(0o600)
    os.truncate(host.directory / "db", 1 << 40)
    assert host.run().exit_code is ExitCode.OK
    assert host.installed() == {"db": b"value"}


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_link_that_somebody_else_planted(host: Host, when: str) -> None:
    """In a sticky folder anybody makes links, and can point their own ones elsewhere at any time."""
    folder = host.folder / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    path = folder / "db"
    host.add("db", path=str(path))
    if when == "after":
        host.run()
        path.unlink()
    path.symlink_to(host.directory / "db")
    os.lchown(path, 1, 1)
    assert host.run().exit_code is ExitCode.OK
    assert path.lstat().st_uid == 0
    assert path.read_bytes() == b"value"


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_live_link_that_somebody_else_planted(host: Host, when: str) -> None:
    host.directory.parent.mkdir()
    host.directory.parent.chmod(0o1777)
    host.add("db")
    if when == "after":
        host.run()
        host.directory.unlink()
    host.directory.symlink_to(host.generations / "1")
    os.lchown(host.directory, 1, 1)
    with pytest.raises(SecretsmithError) as caught:
        host.run()
    assert caught.value.code is Code.TARGET
    assert "belongs to user 1" in caught.value.message


def test_a_lock_file_of_another_program_is_not_touched(host: Host) -> None:
    host.add("db")
    host.manifest["generations"] = str(host.folder / "flake")
    other = host.folder / "flake.lock"
    other.write_text('{"nodes": {}}')
    with pytest.raises(SecretsmithError) as caught:
        host.run()
    assert caught.value.code is Code.TARGET
    assert other.read_text() == '{"nodes": {}}'


def test_a_lock_file_with_a_second_name_is_not_touched(host: Host) -> None:
    host.add("db")
    precious = host.folder / "precious"
    precious.write_text("12345")
    host.generations.parent.mkdir()
    os.link(precious, host.generations.with_name("secrets.d.lock"))
    with pytest.raises(SecretsmithError) as caught:
        host.run()
    assert caught.value.code is Code.TARGET
    assert precious.read_text() == "12345"


@pytest.mark.usefixtures("as_root")
def test_a_lock_file_of_somebody_else(host: Host) -> None:
    host.add("db")
    host.generations.parent.mkdir()
    lock = host.generations.with_name("secrets.d.lock")
    lock.touch()
    os.chown(lock, 1, 1)
    with pytest.raises(SecretsmithError) as caught:
        host.run()
    assert caught.value.code is Code.TARGET


@pytest.mark.parametrize("order", [("age", "yaml"), ("yaml", "age")])
def test_one_source_in_two_formats(host: Host, order: tuple[str, str]) -> None:
    source = str(host.encrypt("common", b"mail: x"))
    host.manifest["secrets"] = [{"name": kind, "source": source, "format": kind} for kind in order]
    report = host.run()
    assert host.installed() == {"age": b"mail: x"}
    assert [error.code for error in report.errors()] == [Code.FORMAT]


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("separator", ["\r", "\x0c", "\u2028", "\x85"])
def test_mount_points_with_line_ends_of_python(host: Host, separator: str) -> None:
    """Any user can mount (FUSE) on a folder of any name; the kernel's lists escape only space, tab, newline, backslash."""
    host.add("db")
    probe = host.folder / "probe"
    probe.mkdir()
    mount("tmpfs", probe, "")
    fd = os.open(probe, os.O_RDONLY)
    number = int(Path(f"/proc/self/fdinfo/{fd}").read_text().split("mnt_id:")[1].split()[0])
    os.close(fd)
    evil = host.folder / "".join(f"{separator}{n}" for n in range(number + 1, number + 12))
    evil.mkdir()
    mount("tmpfs", evil, "")
    assert host.run(memory=Memory.MOUNT).exit_code is ExitCode.OK
    assert host.run(memory=Memory.VERIFY).nothing_done


STATE = {
    "wall": lambda state: state["records"]["1"]["files"]["db"].update(
        stale_since={"wall": float("inf"), "boot": 1.0, "up": 1.0}
    ),
    "stamp": lambda state: state["records"]["1"]["files"]["db"].update(stamp=[float("inf")]),
    "link": lambda state: state["placed"].update({"/etc/a\0b": {"text": "/x"}}),
    "relative": lambda state: state["placed"].update({"a": {"text": "/x"}}),
    "half": lambda state: state["placed"].update({"/\ud800": {"text": "/x"}}),
    "pending": lambda state: state["pending"].update(restart=["--now"]),
    "name": lambda state: state["records"]["1"]["files"].update(
        {"../../x": state["records"]["1"]["files"]["db"]}
    ),
    "zero": lambda state: state["records"]["1"]["files"].update({"\0": state["records"]["1"]["files"]["db"]}),
}


@pytest.mark.parametrize("what", STATE)
def test_state_that_no_run_wrote(host: Host, what: str) -> None:
    host.add("db")
    host.run()
    path = host.generations / "state.json"
    state = json.loads(path.read_text())
    STATE[what](state)
    path.write_text(json.dumps(state))
    host.encrypt("db", b"new", ed25519_key())
    report = host.run()
    assert report.exit_code is ExitCode.CANNOT_DECRYPT
    assert any(Code.STATE in note for note in report.notes)


def test_large_sources_stay_within_the_memory_bound(host: Host) -> None:
    for at in range(4):
        host.add(str(at), bytes(31 << 20))
    script = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode;"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    options = ["--plain-folder"] if IS_ROOT else ["--plain-folder", "--owner-self"]
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", script, *host.command(*options)],
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(run.stdout.split()[-1]) < 256 * 1024
        host.key_file.touch()  # so that the second run compares all with what is live


def test_a_foreign_file_in_the_live_generation(host: Host) -> None:
    host.add("db")
    host.run()
    (host.directory / "planted").write_text("x")
    assert not host.run().nothing_done
    assert host.installed() == {"db": b"value"}


def test_what_fails_after_the_switch_names_the_live_generation(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    host.add("db", b"1")
    host.run()
    host.add("db", b"2")
    monkeypatch.setattr(generations.Generations, "prune", full)
    with pytest.raises(SecretsmithError) as caught:
        host.run()
    assert host.installed() == {"db": b"2"}
    assert "generation 2 stays live" in caught.value.hints


def test_what_fails_before_the_switch_leaves_no_plaintext(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    host.add("db", b"1")
    host.run()
    host.add("db", b"2")
    monkeypatch.setattr(install, "save_state", full)
    with pytest.raises(SecretsmithError):
        host.run()
    assert host.installed() == {"db": b"1"}
    assert sorted(path.name for path in host.generations.iterdir()) == ["1", "state.json"]


def test_a_command_in_a_hint_is_safe_to_paste(host: Host) -> None:
    host.add("good")
    host.add("bad", b"x", ed25519_key(), id="a; reboot")
    (error,) = host.run().errors()
    assert "secretsmith explain 'a; reboot' web1" in error.hints[0]


@pytest.mark.parametrize("depth", [100, 900, 940, 960, 970, 980, 990, 5000])
@pytest.mark.parametrize("member", ["host", "version", "keep", "scope", "secrets"])
def test_nesting_is_no_internal_error(host: Host, depth: int, member: str) -> None:
    found = json.dumps({**host.manifest, member: "HERE"}).replace('"HERE"', "[" * depth + "]" * depth)
    path = host.folder / "manifest.json"
    path.write_text(found)
    script = (
        "import sys; from pathlib import Path; from secretsmith.manifest import parse_manifest;"
        "from secretsmith.errors import RefusedInput\n"
        "try: parse_manifest(Path(sys.argv[1]).read_bytes())\n"
        "except RefusedInput: sys.exit(2)"
    )
    run = subprocess.run([sys.executable, "-c", script, str(path)], env=environment(), check=False)
    assert run.returncode == 2


def test_the_debug_switch_that_an_internal_error_names_works() -> None:
    script = (
        "import os; from secretsmith.activation.hardening import harden_process; harden_process();"
        "print(sorted(os.environ))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(SECRETSMITH_DEBUG="1", TZ="UTC", OPENSSL_CONF="/evil"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "['LANG', 'PATH', 'SECRETSMITH_DEBUG', 'TZ']\n"
