"""Promise 1: everything is validated before anything is written; an unsafe manifest changes nothing."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hosts import IS_ROOT, Host, mounts_below
from worlds import OPTIONS, World, add_template, copied, everything

from secretsmith.activation.engine import activate
from secretsmith.activation.opening.openings import Openings
from secretsmith.activation.ramdisk import Memory
from secretsmith.errors import Code, ExitCode, RefusedInput, SecretsmithError
from secretsmith.manifest import ManifestSecret
from secretsmith.sensitive import Sensitive

pytestmark = pytest.mark.usefixtures("open_descriptors")
Change = Callable[[dict[str, Any]], object]


def secret(**members: object) -> Change:
    return lambda manifest: manifest["secrets"][-1].update(members)


def template(**members: object) -> Change:
    return lambda manifest: manifest["templates"][-1].update(members)


def member(**members: object) -> Change:
    return lambda manifest: manifest.update(members)


# One of each kind: what all is refused is told by tests/test_manifest.py, and here that nothing happens then.
UNSAFE: dict[str, Change] = {
    "schema: a member that is unknown": member(extra=1),
    "schema: a member that is missing": lambda manifest: manifest.pop("identities"),
    "schema: a wrong type": member(keep="2"),
    "schema: another version": member(version=2),
    "name: out of the folder": secret(name="../../etc/cron.d/x"),
    "name: absolute": secret(name="/etc/passwd"),
    "name: twice": secret(name="good"),
    "name: a file and a folder": secret(name="good/more"),
    "name: of a template": template(name="../x"),
    "path: relative": secret(path="etc/db"),
    "path: with dots": secret(path="/etc/../shadow"),
    "path: in the store": secret(path="/nix/store/x"),
    "path: in /proc": secret(path="/proc/1/x"),
    "path: in /sys": secret(path="/sys/x"),
    "path: in /dev": secret(path="/dev/shm/x"),
    "path: of two": lambda manifest: [
        one.update(path="/etc/same") for one in (*manifest["secrets"], *manifest["templates"])
    ],
    "path: of a template in the store": template(path="/nix/store/x"),
    "mode: set-id": secret(mode="4755"),
    "mode: writable by others": secret(mode="0402"),
    "mode: a number": secret(mode=400),
    "owner: not a name": secret(owner="-1"),
    "phase: initrd without consent": secret(phase="initrd", plaintext_on_disk=False),
    "phase: users with a name": secret(phase="users", owner="nobody"),
    "unit: an option": secret(restart_units=["--now"]),
    "template: of no secret": template(placeholders={"@a@": {"secret": "nobody"}}),
    "template: an unknown filter": template(placeholders={"@a@": {"secret": "good", "filter": "html"}}),
    "places: one in the other": lambda manifest: manifest.update(generations=f"{manifest['directory']}/d"),
    "places: the root": member(directory="/"),
}


@pytest.fixture
def changed(host: Host) -> Host:
    """A host with an older world, and a manifest that would change, make and remove something in every way."""
    etc = host.folder / "etc"
    host.add("good", b"old", path=str(etc / "good"))
    host.add("gone", b"old", **copied(etc / "gone"))
    host.add("password", b"old", phase="users")
    assert host.run_all(paths=str(host.paths_file)).exit_code is ExitCode.OK
    host.add("good", b"new", path=str(etc / "good"), restart_units=["a.service"])
    host.drop("gone")
    host.add("password", b"new", phase="users")
    add_template(host, "t", "@a@", {"@a@": "good"})
    host.add("last", b"new", **copied(etc / "last"))
    return host


@pytest.mark.parametrize("unsafe", UNSAFE)
def test_an_unsafe_manifest_changes_nothing(changed: Host, unsafe: str) -> None:
    UNSAFE[unsafe](changed.manifest)
    before = everything(changed.folder)
    keys: list[str] = []
    with pytest.raises(RefusedInput) as caught:
        activate(
            changed.data(), changed.options(paths=str(changed.paths_file)), shield=lambda: keys.append("read")
        )
    assert caught.value.exit_code is ExitCode.USAGE
    with pytest.raises(RefusedInput):
        changed.preview()
    assert everything(changed.folder) == before
    assert not keys, "no private key was read for it"


@pytest.mark.parametrize("unsafe", ["name: out of the folder", "path: in /proc", "schema: a wrong type"])
def test_neither_does_the_program(changed: Host, unsafe: str) -> None:
    good = copy.deepcopy(changed.manifest)
    changed.write_manifest()
    UNSAFE[unsafe](changed.manifest)
    before = everything(changed.folder)
    found = changed.door(*OPTIONS)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("secretsmith: error: ")
    assert len(found.stderr.splitlines()) <= 2
    manifest = str(changed.folder / "manifest.json")  # which the test wrote itself
    assert {**everything(changed.folder), manifest: ()} == {**before, manifest: ()}
    changed.manifest = good
    assert changed.door(*OPTIONS).returncode == 0, "it was only the manifest"


@pytest.mark.usefixtures("as_root")
def test_on_a_new_host_nothing_is_even_mounted(host: Host) -> None:
    host.add("db", path="/proc/x")
    for options in ((), ("--mount",), ("--dry-run",), ("--write-units", str(host.folder / "units"))):
        assert host.door(*options).returncode == 2
    assert not mounts_below(host.folder)
    assert {path.name for path in host.folder.iterdir()} == {
        "host_key",
        "host_key.pub",
        "db.age",
        "manifest.json",
    }


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"version": 1, "version": 1}'])
def test_what_is_no_manifest(changed: Host, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(changed.folder)
    monkeypatch.setattr(changed, "data", lambda: data)
    with pytest.raises(RefusedInput):
        changed.run_all()
    assert everything(changed.folder) == before


def test_an_unsafe_target_changes_nothing_either(changed: Host) -> None:
    changed.directory.unlink()
    changed.directory.mkdir()
    changed.manifest["secrets"] = [one for one in changed.manifest["secrets"] if "phase" not in one]
    lock = changed.generations.with_name("secrets.d.lock")
    before = everything(changed.generations), everything(changed.folder / "etc")
    found = changed.run_all(paths=str(changed.paths_file))
    assert [error.code for error in found.errors()] == [Code.TARGET]
    assert (everything(changed.generations), everything(changed.folder / "etc")) == before
    assert lock.exists()


def test_all_is_read_and_opened_before_the_first_write(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each phase: what cannot be opened is known before there is anything to take back."""
    folder = host.folder / "world"
    folder.mkdir(mode=0o755)
    world = World(Host(folder))
    world.reset()
    events: list[str] = []
    real = {name: getattr(os, name) for name in ("open", "mkdir", "symlink", "rename", "unlink", "write")}

    def watch(name: str) -> None:
        def watched(*given: Any, **named: Any) -> Any:
            text = os.fsdecode(given[0]) if isinstance(given[0], str | Path) else ""
            makes = name != "open" or given[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)
            if makes and not text.endswith(".lock"):
                events.append("write")
            elif text.endswith(".age"):
                events.append("read")
            return real[name](*given, **named)

        monkeypatch.setattr(os, name, watched)

    for name in real:
        watch(name)
    opened = Openings.value

    def value(openings: Openings, secret: ManifestSecret) -> Sensitive | SecretsmithError:
        events.append("value")
        return opened(openings, secret)

    monkeypatch.setattr(Openings, "value", value)
    monkeypatch.setattr("secretsmith.activation.engine._phase", _marked(events))
    with contextlib.suppress(SecretsmithError):
        world.run(status=None)
    monkeypatch.undo()
    phases = " ".join(events).split("phase")[1:]
    assert len(phases) == 2
    for events_of_phase in phases:
        words = events_of_phase.split()
        first = words.index("write")
        assert {"read", "value"} <= {*words[:first]}
        assert {*words[first:]} == {"write"}
    world.assert_new()


def _marked(events: list[str]) -> Callable[..., None]:
    from secretsmith.activation import engine

    real = engine._phase

    def phase(*given: Any) -> None:
        # The lock may write its holder's number before anything is read.
        events.append("phase")
        real(*given)

    return phase


def test_a_manifest_that_others_can_change_is_not_read(changed: Host) -> None:
    path = changed.write_manifest()
    before = everything(changed.folder / "run")
    changed.write_manifest = lambda: path  # type: ignore[method-assign]
    path.chmod(0o666)
    found = changed.door(*OPTIONS)
    assert found.returncode == 1
    assert f"{path} can be changed by others" in found.stderr
    if IS_ROOT:
        path.chmod(0o644)
        os.chown(path, 1, 1)
        assert "can be changed by others (user 1" in changed.door(*OPTIONS).stderr
    assert everything(changed.folder / "run") == before


@pytest.mark.usefixtures("as_root")
def test_a_filesystem_that_is_not_safe_is_refused_before_the_keys_are_read(host: Host) -> None:
    host.add("db")
    keys: list[str] = []
    with pytest.raises(SecretsmithError) as caught:
        activate(host.data(), host.options(memory=Memory.VERIFY), shield=lambda: keys.append("read"))
    assert caught.value.code is Code.NO_TMPFS
    assert not keys
    assert not os.path.lexists(host.generations)
