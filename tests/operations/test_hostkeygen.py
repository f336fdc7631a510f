"""Host keys made before the host: stored for admins, registered, and handed to installers; real ssh-keygen and Nix judge them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from keys import ed25519_key
from repositories import Fleet
from ruamel.yaml import YAML
from sessions import Recorded

from secretsmith.cli.arguments.principals import HostKeygenParameters
from secretsmith.cli.commands import hostkeygen as command
from secretsmith.errors import Code, Interrupted, RefusedInput, SecretsmithError
from secretsmith.operations import hostkeygen
from secretsmith.policy.principals import HostStatus

SECRET = "secrets/hosts/db/ssh_host_ed25519_key.age"


@pytest.fixture
def memory(fleet: Fleet) -> Iterator[Path]:
    """Where folders in memory are made during a test; a folder below the real one."""
    base = Path("/dev/shm") / f"secretsmith-test.{os.getpid()}.{os.urandom(4).hex()}"
    base.mkdir(mode=0o700)
    fleet.environ["XDG_RUNTIME_DIR"] = str(base)
    yield base
    subprocess.run(["rm", "-r", base], check=True)


def public_of(private: Path) -> list[str]:
    """What ssh-keygen says is the public half."""
    done = subprocess.run(["ssh-keygen", "-y", "-f", private], capture_output=True, check=True, text=True)
    return done.stdout.split()


def printed(fleet: Fleet, *words: str) -> Path:
    return Path(fleet.run("host", "keygen", *words, "--no-rekey").stdout.decode().strip())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_key_is_stored_for_admins_registered_and_laid_out_in_memory(fleet: Fleet, memory: Path) -> None:
    folder = printed(fleet, "db")
    private = folder / "etc/ssh/ssh_host_ed25519_key"
    assert folder.is_relative_to(memory) and mode(folder.parent) == 0o700
    # An installer copies the modes of what it is given: these become the new system's.
    assert [mode(path) for path in (folder, folder / "etc", private.parent, private)] == [
        0o755,
        0o755,
        0o755,
        0o600,
    ]
    assert mode(private.with_suffix(".pub")) == 0o644
    host = fleet.project().registry.hosts["db"]
    assert (
        host.status is HostStatus.ACTIVE
        and host.keys[0].line == private.with_suffix(".pub").read_text().strip()
    )
    assert (
        public_of(private) == [*host.keys[0].text.split(), "root@db"]
        or public_of(private) == host.keys[0].text.split()
    )
    assert fleet.opens("alice", SECRET) == private.read_bytes() and fleet.readers(SECRET) == ["alice"]
    assert not [
        path for path in fleet.holds(private.read_bytes().splitlines()[3]) if not path.startswith("/dev/shm")
    ]
    assert not [
        f
        for f in json.loads(fleet.run("check", "--json", code=3).stdout)["findings"]
        if f.get("path") == SECRET
    ]


def test_again_gives_the_same_key_and_changes_nothing(fleet: Fleet, memory: Path) -> None:
    first = printed(fleet, "db")
    before = fleet.files()
    again = printed(fleet, "db")
    assert first != again and fleet.files() == before
    name = "etc/ssh/ssh_host_ed25519_key"
    assert (first / name).read_bytes() == (again / name).read_bytes()


def test_the_folder_outlives_the_next_scratch_folder(fleet: Fleet, memory: Path) -> None:
    folder = printed(fleet, "db")
    fleet.set("secrets/a.age", b"x")
    fleet.run("edit", "secrets/a.age", EDITOR="true")
    assert folder.is_dir()


def test_a_pending_host_becomes_active_and_reads_what_rules_say(fleet: Fleet, memory: Path) -> None:
    fleet.run("host", "add", "db", "--pending", "--address", "db.example.org")
    fleet.run("grant", "secrets/db/**", "--to", "db", "--no-rekey")
    fleet.set("secrets/db/x.age", b"of db")
    folder = Path(fleet.run("host", "keygen", "db", "--rekey").stdout.decode().strip())
    host = fleet.project().registry.hosts["db"]
    assert host.status is HostStatus.ACTIVE and host.address == "db.example.org"
    opened = subprocess.run(
        ["age", "-d", "-i", folder / "etc/ssh/ssh_host_ed25519_key", fleet.root / "secrets/db/x.age"],
        capture_output=True,
        check=True,
    )
    assert opened.stdout == b"of db"


def test_a_replaced_key_is_replaced_in_the_files_at_once(fleet: Fleet, memory: Path) -> None:
    fleet.set("secrets/web/x.age", b"of web")
    folder = Path(fleet.run("host", "keygen", "web1", "--replace", "--yes").stdout.decode().strip())
    assert fleet.readers("secrets/web/x.age") == ["alice"]  # no longer with the old key of web1
    private = folder / "etc/ssh/ssh_host_ed25519_key"
    opened = subprocess.run(
        ["age", "-d", "-i", private, fleet.root / "secrets/web/x.age"], capture_output=True, check=True
    )
    assert opened.stdout == b"of web"


def test_a_rule_that_gives_it_to_somebody_else_is_refused(fleet: Fleet, memory: Path) -> None:
    fleet.run("host", "add", "db", "--pending")
    for readers in ("db", "bob", "web1"):
        fleet.run("grant", "secrets/**", "--to", readers, "--no-rekey")
        before = fleet.files()
        done = fleet.run("host", "keygen", "db", code=2)
        assert readers.encode() in done.stderr and b"private host key" in done.stderr
        assert fleet.files() == before
        fleet.run("revoke", "secrets/**", "--from", readers, "--no-rekey")


def test_a_host_with_a_key_needs_replace(fleet: Fleet, memory: Path) -> None:
    before = fleet.files()
    assert b"--replace" in fleet.run("host", "keygen", "web1", code=2).stderr
    assert b"--yes" in fleet.run("host", "keygen", "web1", "--replace", code=2).stderr
    assert fleet.files() == before
    run = Recorded(fleet.root, fleet.environ, answers=[False])
    with pytest.raises(Interrupted):
        command.keygen(run.session, HostKeygenParameters(name="web1", replace=True))
    assert fleet.files() == before
    printed(fleet, "web1", "--replace", "--yes")
    host = fleet.project().registry.hosts["web1"]
    assert [old.key.line for old in host.retired] == [fleet.public["web1"]] and len(host.keys) == 1
    first = host.keys[0]
    printed(fleet, "web1", "--replace", "--yes")
    host = fleet.project().registry.hosts["web1"]
    assert host.retired[-1].key == first and host.keys[0] != first


def test_an_interrupted_run_is_finished_with_the_stored_key(
    fleet: Fleet, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def die(*_: object, **__: object) -> None:
        raise KilledError

    def keygen(name: str, *, replace: bool = False) -> hostkeygen.HostKey:
        return hostkeygen.host_keygen(fleet.project(), name, replace=replace, confirm=lambda question: None)

    for name, replace, step in (("db", False, "add_host"), ("web1", True, "reprovision_host")):
        with monkeypatch.context() as patch:
            patch.setattr(hostkeygen, step, die)
            with pytest.raises(KilledError):
                keygen(name, replace=replace)
        if replace:  # without a word of it, the old key stays
            with pytest.raises(RefusedInput):
                keygen(name)
        done = keygen(name, replace=replace)
        assert not done.made and done.outcome in ("added", "replaced")
        assert [key.fingerprint for key in fleet.project().registry.hosts[name].keys] == [
            done.public.fingerprint
        ]


def test_a_key_that_was_retired_does_not_come_back(fleet: Fleet, memory: Path) -> None:
    printed(fleet, "db")
    fleet.run("host", "reprovision", "db", "--key", ed25519_key().public, "--yes", "--no-rekey")
    before = fleet.files()
    done = fleet.run("host", "keygen", "db", code=2)
    assert b"--replace" in done.stderr and fleet.files() == before
    fleet.run("host", "retire", "db", "--yes", "--no-rekey")
    assert b"retired" in fleet.run("host", "keygen", "db", code=2).stderr


def test_a_stored_secret_that_is_no_key_is_refused(fleet: Fleet, memory: Path) -> None:
    fleet.set(SECRET, b"hunter2 and no key")
    done = fleet.run("host", "keygen", "db", code=2)
    assert b"hunter2" not in done.stderr and done.stdout == b""


def test_extra_files_where_they_are_wanted(fleet: Fleet, memory: Path) -> None:
    folder = memory / "for installer"
    assert printed(fleet, "db", "--extra-files", str(folder)) == folder
    assert public_of(folder / "etc/ssh/ssh_host_ed25519_key")[:2] == (
        fleet.project().registry.hosts["db"].keys[0].text.split()
    )
    (folder / "etc/ssh/ssh_host_ed25519_key").chmod(0o644)
    printed(fleet, "db", "--extra-files", str(folder))  # again: the same bytes, and private again
    assert mode(folder / "etc/ssh/ssh_host_ed25519_key") == 0o600


def test_a_disk_is_refused_before_anything_is_made(fleet: Fleet, memory: Path, tmp_path: Path) -> None:
    if tmp_path.stat().st_dev == Path("/dev/shm").stat().st_dev:
        pytest.skip("tests run in memory here")
    wanted = {"--extra-files": tmp_path / "x", "--cloud-init": tmp_path / "user-data"}
    before = fleet.files()
    for option, place in wanted.items():
        done = fleet.run("host", "keygen", "db", option, str(place), code=2)
        assert b"--plaintext-on-disk" in done.stderr and fleet.files() == before and not place.exists()
    for option, place in wanted.items():
        printed(fleet, "db", option, str(place), "--plaintext-on-disk")
        assert place.exists()
    assert mode(tmp_path / "user-data") == 0o600
    inside = fleet.run("host", "keygen", "db", "--extra-files", "here", "--plaintext-on-disk", code=2)
    assert b"inside of the repository" in inside.stderr and not (fleet.root / "here").exists()


def test_without_memory_nothing_is_made(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> Path:
        raise SecretsmithError(Code.NO_TMPFS, "no private folder in memory")

    monkeypatch.setattr(hostkeygen, "memory_base", none)
    before = fleet.files()
    with pytest.raises(SecretsmithError):
        command.keygen(Recorded(fleet.root, fleet.environ).session, HostKeygenParameters(name="db"))
    assert fleet.files() == before


def test_the_cloud_config_holds_both_halves(fleet: Fleet, memory: Path) -> None:
    text = fleet.run("host", "keygen", "db", "--cloud-init", "-").stdout
    assert text.startswith(b"#cloud-config\n") and not list(memory.iterdir())
    config = YAML(typ="safe", pure=True).load(text)
    private = memory / "key"
    private.write_text(config["ssh_keys"]["ed25519_private"])
    private.chmod(0o600)
    assert public_of(private)[:2] == config["ssh_keys"]["ed25519_public"].split()[:2]
    assert config["ssh_deletekeys"] is True
    assert private.read_bytes() == fleet.opens("alice", SECRET)


def test_the_options_for_a_virtual_machine_evaluate(
    fleet: Fleet, memory: Path, peer: Callable[[str], str]
) -> None:
    nix = peer("nix-instantiate")
    module = fleet.run("host", "keygen", "db", "--vm").stdout
    (private,) = memory.glob("*/root/etc/ssh/ssh_host_ed25519_key")
    assert f"SECRETSMITH_HOST_KEY={private.parent} ".encode() in module
    assert private.read_bytes().splitlines()[2] not in module
    expression = f"({module.decode()}) {{ lib.mkForce = x: x; }}"
    done = subprocess.run(
        [nix, "--eval", "--strict", "--json", "-E", expression], capture_output=True, check=True
    )
    options = json.loads(done.stdout)["virtualisation"]["vmVariant"]
    share = options["virtualisation"]["sharedDirectories"]["secretsmith-host-key"]
    assert share["source"] == '"$SECRETSMITH_HOST_KEY"'
    (key,) = options["services"]["openssh"]["hostKeys"]
    assert key == {"type": "ed25519", "path": f"{share['target']}/ssh_host_ed25519_key"}
    both = fleet.run("host", "keygen", "db", "--vm", "--cloud-init", "-", code=2)
    assert both.stdout == b""
