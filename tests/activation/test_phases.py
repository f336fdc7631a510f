"""Phases: each in a place of its own, one not in the way of the others, and a user's manifest in a user's place."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hosts import Host

from secretsmith.activation.accounts import Caller
from secretsmith.activation.engine import begin, phases
from secretsmith.activation.ramdisk import Memory
from secretsmith.activation.scope import settled, surroundings
from secretsmith.errors import Code, ExitCode, SecretsmithError
from secretsmith.manifest import Phase, parse_manifest
from secretsmith.record import replace

pytestmark = pytest.mark.usefixtures("open_descriptors")


def tree(folder: Path) -> dict[str, bytes]:
    """Name → bytes of all files behind a live link."""
    live = folder.resolve()
    return {str(path.relative_to(live)): path.read_bytes() for path in live.rglob("*") if path.is_file()}


@pytest.fixture
def three(host: Host) -> Host:
    host.add("db", b"services")
    host.add("password", b"users", phase="users", path=str(host.folder / "etc" / "password"))
    host.add("unlock", b"initrd", phase="initrd", plaintext_on_disk=True)
    return host


def test_each_phase_has_a_place_of_its_own(three: Host) -> None:
    outcome = three.run_all()
    assert outcome.exit_code is ExitCode.OK
    run = three.folder / "run"
    assert tree(run / "secrets") == {"db": b"services"}
    assert tree(run / "secrets-for-users") == {"password": b"users"}
    assert tree(run / "secrets-for-initrd") == {"unlock": b"initrd"}
    assert os.readlink(three.folder / "etc" / "password") == str(run / "secrets-for-users" / "password")
    assert [report.summary() for report in outcome.reports] == [
        "web1: users: generation 1: +1 new, 0 changed, 0 unchanged, 0 removed",
        "web1: generation 1: +1 new, 0 changed, 0 unchanged, 0 removed",
        "web1: initrd: generation 1: +1 new, 0 changed, 0 unchanged, 0 removed",
    ]
    assert all(report.nothing_done for report in three.run_all().reports)


def test_one_phase_alone(three: Host) -> None:
    three.run_all(phase=Phase.USERS)
    assert not (three.folder / "run" / "secrets").exists()
    assert three.states() == {"password": "fresh"}
    three.run_all(phase=Phase.SERVICES)
    assert three.states() == {"password": "fresh", "db": "fresh"}
    assert not (three.folder / "run" / "secrets-for-initrd").exists()


def test_the_last_secret_of_a_phase_goes(three: Host) -> None:
    three.run_all()
    three.drop("password")
    three.run_all()
    assert tree(three.folder / "run" / "secrets-for-users") == {}
    assert not os.path.lexists(three.folder / "etc" / "password")
    assert set(three.states()) == {"db", "unlock"}


def test_a_phase_that_never_was_makes_nothing(host: Host) -> None:
    host.add("db")
    host.run_all()
    assert {path.name for path in (host.folder / "run").iterdir()} == {
        "secrets",
        "secrets.d",
        "secrets.d.lock",
    }


def test_a_secret_that_changes_its_phase_keeps_its_path(three: Host) -> None:
    record = three.folder / "paths.json"
    three.run_all(paths=str(record))
    for phase in ("services", "users"):
        three.add("password", b"users", phase=phase, path=str(three.folder / "etc" / "password"))
        outcome = three.run_all(paths=str(record))
        assert [*outcome.errors()] == []
        assert (three.folder / "etc" / "password").read_bytes() == b"users"


def test_one_phase_that_cannot_be_done_leaves_the_others(three: Host) -> None:
    (three.folder / "run").mkdir()
    (three.folder / "run" / "secrets-for-users").mkdir()
    outcome = three.run_all()
    (error,) = outcome.errors()
    assert (error.code, outcome.exit_code) == (Code.TARGET, error.exit_code)
    assert tree(three.folder / "run" / "secrets") == {"db": b"services"}
    assert tree(three.folder / "run" / "secrets-for-initrd") == {"unlock": b"initrd"}
    assert set(three.states()) == {"db", "unlock"}


def test_each_source_is_read_and_opened_once_for_all_phases(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    from secretsmith.activation.opening import sources

    read: list[str] = []
    real = sources.read_regular

    def counted(path: str, limit: int, *, follow: bool = False) -> tuple[bytes, os.stat_result]:
        read.append(path)
        return real(path, limit, follow=follow)

    monkeypatch.setattr(sources, "read_regular", counted)
    first = host.add("db", b"one value")
    for phase in ("users", "initrd"):
        host.manifest["secrets"].append(
            {**first, "name": f"db-{phase}", "phase": phase, "plaintext_on_disk": True}
        )
    host.manifest["templates"] = [
        {
            "name": "app.env",
            "content": "DSN=@db@\n",
            "phase": "users",
            "placeholders": {"@db@": {"secret": "db"}},
        }
    ]
    assert host.run_all().exit_code is ExitCode.OK
    assert read.count(first["source"]) == 1
    assert tree(host.folder / "run" / "secrets-for-users")["app.env"] == b"DSN=one value\n"


def test_a_clash_of_places_is_refused(host: Host) -> None:
    host.add("db")
    host.manifest["generations"] = f"{host.directory}-for-users"
    with pytest.raises(SecretsmithError) as caught:
        host.run_all()
    assert caught.value.code is Code.PATH_UNSAFE


def test_phases_in_order(three: Host) -> None:
    everything = begin(three.data(), three.options())
    assert [*phases(everything)] == [Phase.USERS, Phase.SERVICES, Phase.INITRD]
    assert [*phases(begin(three.data(), three.options(phase=Phase.INITRD)))] == [Phase.INITRD]


def test_what_a_phase_left_before_this_boot_goes(host: Host) -> None:
    """After a reboot only the record knows of the copy; the manifest has nothing of that phase any more."""
    copy = host.folder / "etc" / "password"
    host.add("password", b"users", phase="users", path=str(copy), method="copy", plaintext_on_disk=True)
    host.run_all(paths=str(host.paths_file))
    assert copy.read_bytes() == b"users"
    shutil.rmtree(host.folder / "run")
    host.drop("password")
    assert host.run_all(paths=str(host.paths_file)).exit_code is ExitCode.OK
    assert not copy.exists()
    assert json.loads(host.paths_file.read_text())["paths"] == {}


def test_a_phase_without_its_link_is_still_tidied(host: Host) -> None:
    host.add("password", b"users", phase="users")
    host.run_all()
    (host.folder / "run" / "secrets-for-users").unlink()
    host.drop("password")
    host.manifest["keep"] = 1
    host.run_all()
    assert not (host.folder / "run" / "secrets-for-users.d" / "1").exists()
    assert host.states() == {}


class TestUser:
    """``scope: user``: the same engine in $XDG_RUNTIME_DIR."""

    @pytest.fixture
    def session(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        """A user's session, and a caller that is no root."""
        runtime, home = host.folder / "runtime", host.folder / "home"
        runtime.mkdir(0o700)
        home.mkdir(0o700)
        host.key.write(home, "id_ed25519")
        host.add("token", b"abc", path="$HOME/.config/forge/token")
        host.manifest |= {
            "scope": "user",
            "directory": "$XDG_RUNTIME_DIR/secrets",
            "generations": "$XDG_RUNTIME_DIR/secrets.d",
            "identities": ["$HOME/id_ed25519"],
        }
        real = Caller.current
        trusted = frozenset({0, os.geteuid(), 4_000_000_000})

        def not_root(*, owner_self: bool = False) -> Caller:
            return replace(real(owner_self=owner_self), trusted=trusted)

        monkeypatch.setattr(Caller, "current", not_root)
        return {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}

    def run(self, host: Host, session: dict[str, str], **changes: Any) -> Any:
        return host.run_all(memory=Memory.MOUNT, owner_self=False, environ=session, **changes)

    def test_on_a_disk_is_refused(self, host: Host, session: dict[str, str]) -> None:
        if os.statvfs(host.folder).f_fsid == os.statvfs("/dev/shm").f_fsid:
            pytest.skip("the tests' folder is in memory")
        with pytest.raises(SecretsmithError) as caught:
            self.run(host, session)
        assert caught.value.code is Code.NO_TMPFS
        assert not os.path.lexists(host.folder / "runtime" / "secrets")

    @pytest.mark.usefixtures("as_root")
    def test_in_memory(self, host: Host, session: dict[str, str]) -> None:
        from hosts import mount

        mount("tmpfs", Path(session["XDG_RUNTIME_DIR"]), "mode=0700")
        outcome = self.run(host, session, usual=True, status=None)
        assert outcome.exit_code is ExitCode.OK, [*outcome.errors()]
        assert tree(host.folder / "runtime" / "secrets") == {"token": b"abc"}
        assert (host.folder / "home" / ".config" / "forge" / "token").read_bytes() == b"abc"
        assert (host.folder / "runtime" / "secretsmith" / "status.json").exists()
        assert (host.folder / "home/.local/state/secretsmith/paths.json").exists()
        assert [*outcome.notes()] == []
        assert self.run(host, session, usual=True, status=None).reports[0].nothing_done

    @pytest.mark.usefixtures("as_root")
    def test_dry_run_says_whose_files_they_are(
        self, host: Host, session: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from hosts import mount

        mount("tmpfs", Path(session["XDG_RUNTIME_DIR"]), "mode=0700")
        # The test runs as root, which is also what an entry without an owner says.
        monkeypatch.setattr("secretsmith.activation.outcome.user_name", lambda uid: f"user-{uid}")
        changes: dict[str, Any] = {"memory": Memory.MOUNT, "owner_self": False, "environ": session}
        assert "  new token user-0:root 0400" in [*host.preview(**changes).lines()]

    @pytest.mark.parametrize("missing", ["HOME", "XDG_RUNTIME_DIR"])
    def test_without_a_session(self, host: Host, session: dict[str, str], missing: str) -> None:
        for value in (None, "", "relative", "/", str(host.folder / "nowhere")):
            environ = {**session, missing: value} if value is not None else {}
            with pytest.raises(SecretsmithError) as caught:
                self.run(host, environ)
            assert caught.value.code in (Code.USAGE, Code.NOT_FOUND)

    @pytest.mark.usefixtures("as_root")
    def test_a_home_of_somebody_else(self, host: Host, session: dict[str, str]) -> None:
        os.chown(session["HOME"], 1, 1)
        with pytest.raises(SecretsmithError) as caught:
            self.run(host, session)
        assert caught.value.code is Code.PATH_UNSAFE

    def test_a_phase_that_users_do_not_have(self, host: Host, session: dict[str, str]) -> None:
        with pytest.raises(SecretsmithError) as caught:
            self.run(host, session, phase=Phase.USERS)
        assert caught.value.code is Code.USAGE

    def test_usual_places(self, session: dict[str, str]) -> None:
        caller = Caller.current()
        manifest = settled(parse_manifest(example()), session, caller)
        assert manifest.identities == (f"{session['HOME']}/.ssh/id_ed25519",)
        assert surroundings(manifest.scope, {}, caller).status is None


def example() -> bytes:
    return (Path(__file__).parents[2] / "docs/reference/examples/user.json").read_bytes()


@pytest.mark.usefixtures("as_root")
def test_root_is_no_user(host: Host) -> None:
    host.manifest |= {"scope": "user"}
    host.add("db")
    with pytest.raises(SecretsmithError) as caught:
        host.run_all()
    assert (caught.value.code, caught.value.exit_code) == (Code.USAGE, ExitCode.USAGE)


@pytest.mark.parametrize("phase", ["users", "initrd"])
def test_a_user_has_one_phase(host: Host, phase: str) -> None:
    host.manifest |= {"scope": "user"}
    host.add("db", b"x", phase=phase, plaintext_on_disk=True)
    with pytest.raises(SecretsmithError) as caught:
        host.run_all()
    assert caught.value.code is Code.MANIFEST
