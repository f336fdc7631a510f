"""Promise 6: the status file says for each secret: fresh, unchanged, stale (since), missing, refused; over all phases."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hosts import IS_ROOT, Host, fingerprint
from keys import ed25519_key
from worlds import OPTIONS, add_document, add_template, copied

from secretsmith.activation.scope import SYSTEM
from secretsmith.activation.state import Moment
from secretsmith.errors import Code, ExitCode
from secretsmith.manifest import Phase

pytestmark = pytest.mark.usefixtures("open_descriptors")
STATES = ("fresh", "unchanged", "stale", "missing", "refused")


@pytest.fixture(scope="module")
def schema() -> Any:
    path = Path(__file__).parents[3] / "docs/reference/schemas/host-status.schema.json"
    return json.loads(path.read_text())


def status(host: Host, schema: Any) -> dict[str, Any]:
    """The whole file, which is as its schema says."""
    found: dict[str, Any] = host.status()
    jsonschema.validate(found, schema, jsonschema.Draft202012Validator)
    assert stat.S_IMODE(host.status_file.stat().st_mode) == 0o600
    return found


@pytest.fixture
def site(host: Host) -> Host:
    """After two runs: a secret and a template of each state."""
    host.manifest["host_key"] = fingerprint(host.key)
    for name in ("changed", "same", "stale", "left-out"):
        host.add(name, b"1", readers=[fingerprint(host.key)])
        add_template(host, f"{name}.env", "A=@a@", {"@a@": name})
    add_document(host, "all.yaml", b"a: 1\n", document="a")
    host.run()
    host.moment = Moment(host.moment.wall + 3600, host.moment.boot + 3600)
    other = ed25519_key()
    host.encrypt("changed", b"2")
    host.encrypt("stale", b"2", other)
    host.encrypt("left-out", b"2", other)
    host.manifest["secrets"][3]["readers"] = [fingerprint(other)]
    host.add("missing", b"1", other)
    add_template(host, "missing.env", "A=@a@", {"@a@": "missing"})
    add_template(host, "refused.env", "no placeholder", {"@a@": "same"})
    return host


def test_each_state(site: Host, schema: Any) -> None:
    assert site.run().exit_code is ExitCode.CANNOT_DECRYPT
    found = status(site, schema)
    assert {name: secret["state"] for name, secret in found["secrets"].items()} == {
        "changed": "fresh",
        "same": "unchanged",
        "stale": "stale",
        "left-out": "refused",
        "document": "unchanged",
        "missing": "missing",
        "changed.env": "fresh",
        "same.env": "unchanged",
        "stale.env": "stale",
        "left-out.env": "refused",
        "missing.env": "missing",
        "refused.env": "refused",
    }
    assert {secret["state"] for secret in found["secrets"].values()} == {*STATES}
    assert found["exit_code"] == 5
    for name, secret in found["secrets"].items():
        bad = secret["state"] in ("stale", "missing", "refused")
        assert ("since" in secret) == (secret["state"] == "stale"), name
        assert ("message" in secret) == ("code" in secret) == bad, name
        assert ("path" in secret) == (secret["state"] not in ("missing", "refused")), name
    assert found["secrets"]["missing"]["code"] == Code.NO_IDENTITY
    assert found["secrets"]["refused.env"]["code"] == Code.TEMPLATE


def test_since_is_when_it_became_stale(site: Host, schema: Any) -> None:
    site.run()
    first = status(site, schema)
    assert first["secrets"]["stale"]["since"] == first["time"] == "2027-01-15T09:00:00+00:00"
    site.moment = Moment(site.moment.wall + 60, site.moment.boot + 60)
    site.run()
    later = status(site, schema)
    assert later["time"] == "2027-01-15T09:01:00+00:00"
    assert later["secrets"]["stale"]["since"] == later["secrets"]["stale.env"]["since"] == first["time"]
    site.encrypt("stale", b"3")
    site.run()
    assert "since" not in status(site, schema)["secrets"]["stale"]


def test_never_a_value(host: Host, schema: Any) -> None:
    host.add("db", b"canary-1")
    host.add("bad", b"canary-2")
    add_template(host, "t", "[canary-3, @a@", {"@a@": "db"}, "json")
    host.run()
    host.encrypt("bad", b"canary-2", ed25519_key())
    host.run()
    text = json.dumps(status(host, schema)) + (host.generations / "state.json").read_text()
    assert "canary" not in text


def test_what_a_file_is(host: Host, schema: Any) -> None:
    who = {"owner": "1", "group": "2"} if IS_ROOT else {}
    host.add("db", b"value", id="secrets/db.age", mode="0440", **who)
    host.add("copy", **copied(host.folder / "etc" / "copy"))
    host.run(source="/etc/secretsmith/manifest.json")
    found = status(host, schema)
    db = found["secrets"]["db"]
    real = (host.directory / "db").stat()
    assert (db["id"], db["path"], db["mode"]) == ("secrets/db.age", str(host.directory / "db"), "0440")
    assert (db["uid"], db["gid"]) == (real.st_uid, real.st_gid)
    assert found["secrets"]["copy"]["path"] == str(host.folder / "etc" / "copy")
    assert found["secrets"]["copy"]["plaintext_on_disk"] is True
    assert (found["host"], found["manifest"]) == ("web1", "/etc/secretsmith/manifest.json")


def test_a_path_that_could_not_be_placed_is_said(host: Host, schema: Any) -> None:
    (host.folder / "etc").mkdir()
    (host.folder / "etc" / "db").write_text("precious")
    host.add("db", path=str(host.folder / "etc" / "db"))
    host.run()
    found = status(host, schema)["secrets"]["db"]
    assert (found["state"], found["code"]) == ("fresh", Code.PATH_OCCUPIED)


class TestPhases:
    """One file for all phases, whichever run wrote them."""

    @pytest.fixture
    def phases(self, host: Host) -> Host:
        host.add("password", b"1", phase="users")
        host.add("later", b"1", phase="users")
        host.add("db", b"1")
        host.add("unlock", b"1", phase="initrd", plaintext_on_disk=True)
        add_template(host, "shadow", "x:@a@", {"@a@": "db"}, phase="users")
        return host

    def run(self, host: Host, schema: Any, *phases: str) -> dict[str, str]:
        for phase in phases:
            host.run_all(phase=Phase(phase))
        return {name: secret["state"] for name, secret in status(host, schema)["secrets"].items()}

    def test_run_separately_they_add_up(self, phases: Host, schema: Any) -> None:
        assert self.run(phases, schema, "users") == dict.fromkeys(("password", "later", "shadow"), "fresh")
        assert self.run(phases, schema, "services")["db"] == "fresh"
        separate = self.run(phases, schema, "initrd")
        merged = status(phases, schema)
        phases.status_file.unlink()
        phases.key_file.touch()
        phases.run_all()
        together = {name: secret["state"] for name, secret in status(phases, schema)["secrets"].items()}
        assert separate == dict.fromkeys(together, "fresh")
        assert set(together.values()) == {"unchanged"}
        places = {name: found["directory"] for name, found in merged["phases"].items()}
        assert set(places) == {"users", "services", "initrd"}
        assert places == {n: f["directory"] for n, f in status(phases, schema)["phases"].items()}

    def test_what_is_wrong_in_one_stays_said_while_another_runs(self, phases: Host, schema: Any) -> None:
        self.run(phases, schema, "users")
        phases.encrypt("password", b"2", ed25519_key())
        assert self.run(phases, schema, "users", "services", "services")["password"] == "stale"
        since = status(phases, schema)["secrets"]["password"]["since"]
        phases.moment = Moment(phases.moment.wall + 60, phases.moment.boot + 60)
        phases.encrypt("db", b"2")
        found = self.run(phases, schema, "services")
        assert (found["password"], found["db"], found["later"]) == ("stale", "fresh", "unchanged")
        assert status(phases, schema)["secrets"]["password"]["since"] == since

    def test_what_is_dropped_from_a_phase_goes(self, phases: Host, schema: Any) -> None:
        self.run(phases, schema, "users", "services")
        phases.drop("later")
        phases.drop("db")
        phases.manifest["templates"] = []
        assert set(self.run(phases, schema, "users")) == {"password", "db"}
        assert set(self.run(phases, schema, "services")) == {"password"}

    def test_a_secret_that_changes_its_phase_is_said_once(self, phases: Host, schema: Any) -> None:
        self.run(phases, schema, "users", "services")
        phases.manifest["secrets"][1].pop("phase")
        phases.run_all()
        assert status(phases, schema)["secrets"]["later"]["phase"] == "services"

    def test_through_the_program(self, phases: Host, schema: Any) -> None:
        for phase in ("users", "services"):
            found = phases.door(*OPTIONS, "--phase", phase)
            assert found.returncode == 0, found.stderr
        assert set(phases.states()) == {"password", "later", "shadow", "db"}
        phases.encrypt("db", b"2", ed25519_key())
        assert phases.door(*OPTIONS, "--phase", "services").returncode == 5
        assert phases.states() == dict.fromkeys(("password", "later", "shadow"), "fresh") | {"db": "stale"}
        assert phases.door(*OPTIONS, "--phase", "users").returncode == 5, "its template needs that secret"
        found_states = {name: found["state"] for name, found in status(phases, schema)["secrets"].items()}
        assert found_states == {
            "password": "unchanged",
            "later": "unchanged",
            "shadow": "stale",
            "db": "stale",
        }


def test_an_unchanged_run_leaves_it_as_it_is(host: Host, schema: Any) -> None:
    host.add("db")
    host.run()
    before = host.status_file.stat(), status(host, schema)
    host.moment = Moment(5e9, 9e9)
    host.run()
    assert (host.status_file.stat(), status(host, schema)) == before


@pytest.mark.parametrize(
    "text", ["", "{", "null", '{"version": 1, "secrets": {"db": 3}, "phases": {}}', "[" * 9999]
)
def test_a_damaged_one_is_said_and_made_anew(host: Host, schema: Any, text: str) -> None:
    host.add("db")
    host.run()
    host.status_file.write_text(text)
    report = host.run()
    assert any(note.startswith(f"{Code.STATE}: {host.status_file} was damaged") for note in report.notes)
    assert report.exit_code is ExitCode.OK
    assert status(host, schema)["secrets"]["db"]["state"] == "unchanged"
    assert host.run().nothing_done


@pytest.mark.parametrize("kind", ["symlink", "folder", "foreign folder"])
def test_a_place_that_is_not_safe(host: Host, kind: str) -> None:
    """The secrets are installed, and that nothing could be said of them is an error."""
    host.add("db")
    victim = host.folder / "victim"
    victim.write_text("precious")
    if kind == "symlink":
        host.status_file.symlink_to(victim)
    elif kind == "folder":
        host.status_file.mkdir()
    else:
        open_to_all = host.folder / "open"
        open_to_all.mkdir()
        open_to_all.chmod(0o777)
        host.status_file = open_to_all / "status.json"
    report = host.run()
    assert host.installed() == {"db": b"value"}
    assert victim.read_text() == "precious"
    if kind == "symlink":
        assert report.exit_code is ExitCode.OK
        assert not host.status_file.is_symlink()
    else:
        assert report.exit_code is ExitCode.ERROR


def test_where_it_is_by_default() -> None:
    assert SYSTEM.status == "/run/secretsmith/status.json"


def test_it_is_replaced_by_one_rename(host: Host) -> None:
    host.add("db", b"1")
    host.run()
    fd = os.open(host.status_file, os.O_RDONLY)
    host.add("db", b"2")
    host.run()
    try:
        assert json.loads(os.read(fd, 1 << 20))["phases"]["services"]["generation"] == 1
    finally:
        os.close(fd)
