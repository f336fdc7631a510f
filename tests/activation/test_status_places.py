"""The look at a host: the filesystem of the generations, what lies in it, and custom paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hosts import Host, mount, mounts_below
from looks import entry, inspect, install, install_placed, install_two, off, only, states

from secretsmith.activation.accounts import user_name
from secretsmith.activation.inspection import folders as inspectionfolders
from secretsmith.activation.mounts import Mount
from secretsmith.errors import Code


@pytest.fixture
def installed(host: Host) -> Host:
    return install_two(host)


# Where it lies


@pytest.mark.usefixtures("as_root")
def test_filesystem_is_described(installed: Host) -> None:
    filesystem = inspect(installed).phases[0].filesystem
    assert filesystem is not None
    assert filesystem.mounted
    assert {"nosuid", "nodev", "noexec"} < set(filesystem.options)
    assert filesystem.kind in ("tmpfs", "ramfs")
    assert (filesystem.used > 0) == (filesystem.kind == "tmpfs")


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("lost", ["nosuid", "nodev", "noexec"])
def test_mount_without_an_option(installed: Host, lost: str) -> None:
    flags = {"nosuid": 2, "nodev": 4, "noexec": 8}
    ours = mounts_below(installed.folder)[str(installed.generations)][0]
    left = sum(flag for name, flag in flags.items() if name != lost)
    mount(ours, installed.generations, "", left | 32)  # MS_REMOUNT
    facts = inspect(installed)
    found = only(facts)
    assert (found.code, found.path) == (Code.TARGET, str(installed.generations))
    assert found.message == f"is mounted without {lost}"
    assert found.hint.split("\n")[0] == f"umount {installed.generations}"
    assert set(states(facts).values()) == {"unknown"}
    assert facts.phases[0].filesystem is not None
    assert lost not in facts.phases[0].filesystem.options


def test_plain_folder_on_a_disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.add("db", b"hunter2")
    host.run()
    monkeypatch.setattr(inspectionfolders, "mount_of", lambda fd: Mount("/", "ext4", frozenset({"rw"})))
    facts = inspect(host)
    (found,) = [found for found in facts.findings if found.code == Code.NO_TMPFS]
    assert (found.severity, found.path) == ("error", str(host.generations))
    assert "lies on ext4, which is no memory" in found.message
    assert states(facts) == {"db": "fresh"}


def test_memory_that_may_swap(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.add("db", b"hunter2")
    host.run()
    tmpfs = Mount(str(host.generations), "tmpfs", frozenset({"nosuid", "nodev", "noexec"}))
    monkeypatch.setattr(inspectionfolders, "mount_of", lambda fd: tmpfs)
    for active, count in ((True, 1), (False, 0)):
        monkeypatch.setattr(inspectionfolders, "swap_is_active", lambda active=active: active)
        found = [item for item in inspect(host).findings if item.code == Code.NO_TMPFS]
        assert len(found) == count


@pytest.mark.usefixtures("as_root")
def test_nearly_full(installed: Host) -> None:
    room = os.statvfs(installed.generations)
    if not room.f_blocks:
        pytest.skip("a ramfs has no limit")
    used = (room.f_blocks - room.f_bfree) * room.f_frsize
    mount("tmpfs", installed.generations, f"size={used}", 2 | 4 | 8 | 32)  # MS_REMOUNT
    assert only(inspect(installed)).code == Code.NOSPC


def test_leftovers(installed: Host) -> None:
    for name in ("5", "6.tmp"):
        (installed.generations / name).mkdir()
    (installed.generations / "notes.txt").write_text("x")
    left, foreign = off(inspect(installed))
    assert (left.code, left.message) == (
        Code.STATE,
        "an interrupted activation left something with secrets in it: 6.tmp, 5",
    )
    assert (foreign.code, foreign.message) == (Code.UNDECLARED, "activation did not put this here: notes.txt")
    assert foreign.hint.endswith(f"rm -r {installed.generations}/notes.txt")


def test_more_generations_than_are_kept(installed: Host) -> None:
    for number in (2, 3):
        installed.add("db", b"%d" % number)
        installed.manifest["keep"] = 5
        install(installed)
    installed.manifest["keep"] = 2
    messages = [found.message for found in off(inspect(installed))]
    assert messages == ["1 generations more than the manifest keeps: 1"]


def test_earlier_generation_changed_by_hand(installed: Host) -> None:
    installed.add("db", b"hunter4")
    install(installed)
    (installed.generations / "1/db").chmod(0o444)
    found = only(inspect(installed))
    assert found.message == "generation 1, which is kept, was changed by hand: db"
    assert found.hint == f"rm -r {installed.generations}/1"


# Custom paths


@pytest.fixture
def placed(host: Host) -> Host:
    return install_placed(host)


def test_placed_and_on_disk(placed: Host) -> None:
    facts = inspect(placed)
    assert not off(facts)
    assert entry(facts, "copy").path == str(placed.folder / "app/copy")
    notes = [(found.code, found.path) for found in facts.findings if found.severity == "info"]
    assert notes == [(Code.PLAINTEXT, str(placed.folder / "app/copy"))]


@pytest.mark.parametrize("name", ["link", "copy"])
def test_custom_path_is_missing(placed: Host, name: str) -> None:
    (placed.folder / "app" / name).unlink()
    facts = inspect(placed)
    assert (only(facts).code, only(facts).message) == (Code.CHANGED, f"the {name} of {name} is missing")
    assert states(facts)[name] == "changed"


@pytest.mark.parametrize("name", ["link", "copy"])
def test_custom_path_is_taken(placed: Host, name: str) -> None:
    path = placed.folder / "app" / name
    path.unlink()
    path.write_text("mine")
    facts = inspect(placed)
    assert (only(facts).code, only(facts).path) == (Code.PATH_OCCUPIED, str(path))
    assert f"mv {path} {path}.old" in only(facts).hint


def test_copy_opened_up(placed: Host) -> None:
    (placed.folder / "app/copy").chmod(0o444)
    facts = inspect(placed)
    assert only(facts).message == "is taken by a copy that was changed since activation put it there"
    assert entry(facts, "copy").mode == "0444"


def test_link_to_an_earlier_place(placed: Host) -> None:
    path = placed.folder / "app/link"
    path.unlink()
    path.symlink_to(placed.generations / "1/link")
    assert (
        only(inspect(placed)).message
        == "is a link to somewhere else, or of somebody else, where link should be here"
    )


def test_owner_of_a_missing_copy_is_that_of_the_value(placed: Host) -> None:
    (placed.folder / "app/copy").unlink()
    for secret in placed.manifest["secrets"]:
        secret["owner"] = str(os.geteuid())
    assert entry(inspect(placed), "copy").owner == user_name(os.geteuid())


def test_folder_on_the_way_is_unsafe(placed: Host) -> None:
    (placed.folder / "app").chmod(0o777)
    found = {(item.code, item.path) for item in off(inspect(placed))}
    assert found == {(Code.PATH_UNSAFE, str(placed.folder / f"app/{name}")) for name in ("copy", "link")}
    assert {item.hint for item in off(inspect(placed))} == {f"chmod go-w {placed.folder}/app"}
    message = off(inspect(placed))[0].message
    assert message.endswith(f"cannot be put here: {placed.folder}/app is writable by others (mode 0777)")


def test_stray_links_and_copies(placed: Host) -> None:
    placed.drop("link")
    placed.drop("copy")
    placed.add("other")
    (placed.folder / "app/.copy.secretsmith-tmp").write_text("half")
    found = {(item.code, Path(item.path).name) for item in off(inspect(placed))}
    assert found == {
        (Code.PENDING, "manifest.json"),
        (Code.UNDECLARED, "link"),
        (Code.UNDECLARED, "copy"),
        (Code.STATE, ".copy.secretsmith-tmp"),
    }


def test_stray_copy_that_was_changed(placed: Host) -> None:
    placed.drop("copy")
    (placed.folder / "app/copy").chmod(0o600)
    (placed.folder / "app/copy").write_text("edited")
    (found,) = [item for item in off(inspect(placed)) if item.code == Code.UNDECLARED]
    assert "it is never removed" in found.message
    assert found.hint == f"look at it, then: rm {placed.folder}/app/copy"
