"""The way to a custom path: whose folders, no symlink, and for a copy a filesystem that never reaches a disk."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hosts import mount, unmount_below
from sites import Site

from secretsmith.activation import mounts
from secretsmith.activation.places import renames
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import Method

pytestmark = pytest.mark.usefixtures("open_descriptors")
METHODS = [Method.LINK, Method.COPY]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    tmp_path.chmod(0o755)
    return Site(tmp_path)


@pytest.fixture
def path(site: Site) -> Path:
    return site.folder / "etc" / "app" / "db"


@pytest.fixture
def mounted(path: Path) -> Iterator[Callable[[str, str], None]]:
    """Mount something where the path's folder is."""

    def mount_it(kind: str, options: str) -> None:
        path.parent.mkdir(parents=True)
        try:
            mount(kind, path.parent, options)
        except OSError as error:
            pytest.skip(f"this kernel cannot: {error}")

    yield mount_it
    unmount_below(path.parents[2])


def refused(site: Site, code: Code) -> SecretsmithError:
    """Nothing half-made stays, and it is said again by the next run."""
    (first,) = site.run().values()
    (error,) = site.run().values()
    assert (error.code, error.message) == (code, first.message)
    assert not site.leftovers()
    assert not site.in_place()
    return error


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_folder_that_others_can_write(site: Site, path: Path, mode: int, method: Method) -> None:
    path.parent.mkdir(parents=True)
    path.parent.parent.chmod(mode)
    site.add("db", path, method=method)
    assert "writable by others" in refused(site, Code.PATH_UNSAFE).message
    assert site.forecast() == {"db": "unsafe"}
    assert not os.path.lexists(path)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["symlink", "loop", "file"])
def test_no_folder_on_the_way(site: Site, path: Path, kind: str, method: Method) -> None:
    elsewhere = site.folder / "elsewhere"
    elsewhere.mkdir()
    way = path.parent
    way.parent.mkdir()
    if kind == "file":
        way.write_text("")
    else:
        way.symlink_to(elsewhere if kind == "symlink" else way)
    site.add("db", path, method=method)
    message = refused(site, Code.PATH_UNSAFE).message
    assert ("is not a folder" if kind == "file" else "is a symlink") in message
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("method", METHODS)
def test_a_sticky_folder_is_allowed(site: Site, path: Path, method: Method) -> None:
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o1777)
    site.add("db", path, method=method)
    assert not site.run()
    assert site.in_place()


@pytest.mark.usefixtures("as_root")
def test_a_planted_link_in_a_sticky_folder_is_made_anew(site: Site, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o1777)
    path.symlink_to(f"{site.manifest.directory}/db")
    os.chown(path, 1, 1, follow_symlinks=False)
    site.add("db", path)
    assert not site.run()
    assert path.lstat().st_uid == 0
    os.chown(path, 1, 1, follow_symlinks=False)
    assert not site.in_place()


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("method", METHODS)
def test_a_folder_of_somebody_else(site: Site, path: Path, method: Method) -> None:
    path.parent.mkdir(parents=True)
    os.chown(path.parent.parent, 1, 1)
    site.add("db", path, method=method)
    assert "belongs to user 1" in refused(site, Code.PATH_UNSAFE).message
    site.add("db", path, method=method, owner="65534")
    assert "belongs to user 1" in refused(site, Code.PATH_UNSAFE).message


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("method", METHODS)
def test_a_home_is_written_as_its_owner(site: Site, path: Path, method: Method) -> None:
    path.parent.mkdir(parents=True)
    os.chown(path.parent, 1, 1)
    path.parent.chmod(0o700)
    site.add("db", path, method=method, owner="1", group="1")
    groups = os.getgroups()
    assert not site.run()
    assert (path.lstat().st_uid, path.lstat().st_gid) == (1, 1)
    site.add("db", path, b"new", method=method, owner="1", group="1")
    assert not site.run()
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, groups)
    site.drop("db")
    assert not site.run()
    assert not os.path.lexists(path)
    assert not site.leftovers()


@pytest.mark.usefixtures("as_root")
def test_below_a_home_nothing_of_root_is_reached(site: Site, path: Path) -> None:
    """The home's user plants what root could overwrite; root works there as that user, so it cannot."""
    home = path.parent
    (home / "kept").mkdir(parents=True)
    os.chown(home, 1, 1)
    (home / "kept").chmod(0o755)  # a folder of root in the home
    site.copy("db", home / "kept" / "db", owner="1", group="1")
    refused(site, Code.ACCESS)
    assert not list((home / "kept").iterdir())


def test_a_copy_on_a_disk_must_be_wished(site: Site, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = mounts.Mount("/", "ext4", frozenset())
    monkeypatch.setattr("secretsmith.activation.places.custody.mount_of", lambda _: disk)
    site.copy("db", path, plaintext_on_disk=False)
    error = refused(site, Code.PATH_UNSAFE)
    assert "ext4, which is no memory" in error.message
    assert '"plaintext_on_disk": true' in error.hints[1]
    assert not path.exists()
    site.add("db", path)
    assert not site.run(), "a link is no plaintext"


def test_for_a_copy_that_may_not_be_on_a_disk_no_folder_is_made_there(
    site: Site, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = mounts.Mount("/", "ext4", frozenset())
    monkeypatch.setattr("secretsmith.activation.places.custody.mount_of", lambda _: disk)
    deep = path.parent / "one" / "two" / "db"
    site.copy("db", deep, plaintext_on_disk=False)
    assert site.forecast() == {"db": "unsafe"}
    assert "ext4, which is no memory" in refused(site, Code.PATH_UNSAFE).message
    assert not (path.parent / "one").exists()


def test_a_copy_that_may_no_longer_be_there_is_said(
    site: Site, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = mounts.Mount("/", "xfs", frozenset())
    monkeypatch.setattr("secretsmith.activation.places.custody.mount_of", lambda _: disk)
    site.copy("db", path)
    assert not site.run()
    site.copy("db", path, plaintext_on_disk=False)
    refused(site, Code.PATH_UNSAFE)
    site.drop("db")
    site.run()
    assert not path.exists()


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(("kind", "options"), [("tmpfs", "noswap,mode=0755"), ("ramfs", "mode=0755")])
def test_memory_that_never_swaps(
    site: Site,
    path: Path,
    mounted: Callable[[str, str], None],
    kind: str,
    options: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mounted(kind, options)
    monkeypatch.setattr(mounts, "swap_is_active", lambda: True)
    site.copy("db", path, plaintext_on_disk=False)
    assert not site.run()
    site.copy("db", path, b"new", plaintext_on_disk=False)
    assert not site.run()
    assert path.read_bytes() == b"new"
    assert not site.leftovers()


@pytest.mark.usefixtures("as_root")
def test_memory_that_may_swap(
    site: Site, path: Path, mounted: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted("tmpfs", "mode=0755")
    site.copy("db", path, plaintext_on_disk=False)
    monkeypatch.setattr(mounts, "swap_is_active", lambda: True)
    assert "may swap" in refused(site, Code.PATH_UNSAFE).message
    monkeypatch.setattr(mounts, "swap_is_active", lambda: False)
    assert not site.run()


@pytest.mark.usefixtures("as_root")
def test_a_full_filesystem(site: Site, path: Path, mounted: Callable[[str, str], None]) -> None:
    mounted("tmpfs", "size=64k,mode=0755")
    for name in ("a", "b", "c"):
        site.copy(name, path.with_name(name), bytes(40_000), plaintext_on_disk=True)
    failures = site.run()
    assert {error.code for error in failures.values()} == {Code.NOSPC}
    assert len(failures) == 2
    assert not site.leftovers()


@pytest.mark.parametrize(
    ("swaps", "active"),
    [
        ("Filename Type Size Used Priority\n", False),
        ("Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n", True),
        ("Filename Type Size Used Priority\n/dev/zram0 partition 1 0 100\n\n", True),
    ],
)
def test_swap_as_the_kernel_says_it(
    tmp_path: Path, swaps: str, active: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "swaps").write_text(swaps)
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda name, *rest: real(str(name).replace("/proc", str(tmp_path)), *rest)
    )
    assert mounts.swap_is_active() is active
    (tmp_path / "swaps").unlink()
    assert not mounts.swap_is_active()


def test_the_mount_of_a_descriptor(tmp_path: Path) -> None:
    descriptor = os.open("/proc", os.O_PATH)
    try:
        found = mounts.mount_of(descriptor)
    finally:
        os.close(descriptor)
    assert (found.point, found.kind, found.may_swap) == ("/proc", "proc", True)


# struct posix_acl_xattr: version 2; tag, bits, id of the owner, user 65534, the group, the mask, others
ACL = struct.pack(
    "<I" + "HHI" * 5, 2, 1, 6, NOBODY := 0xFFFF_FFFF, 2, 4, 65534, 4, 0, NOBODY, 16, 4, NOBODY, 32, 0, NOBODY
)


def test_a_default_acl_lets_nobody_in(site: Site, path: Path) -> None:
    """Each new file in such a folder has its entries, which the group's bits would let in."""
    path.parent.mkdir(parents=True)
    try:
        os.setxattr(path.parent, "system.posix_acl_default", ACL)
    except OSError as error:
        pytest.skip(f"no ACLs on this filesystem: {error}")
    site.copy("db", path, mode="0440")
    assert not site.run()
    assert not os.listxattr(path)
    # A file that somebody else may read is not adopted as equal.
    path.unlink()
    path.write_bytes(b"value")
    os.setxattr(path, "system.posix_acl_access", ACL)
    path.chmod(0o440)
    assert "system.posix_acl_access" in os.listxattr(path)
    refused(site, Code.PATH_OCCUPIED)


def test_a_filesystem_without_special_renames(
    site: Site, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.EINVAL, "")

    monkeypatch.setattr(renames, "_renameat2", unknown)
    for value in (b"1", b"2"):
        site.copy("db", path, value)
        assert not site.run()
        assert (path.read_bytes(), path.stat().st_nlink) == (value, 1)
    path.unlink()
    path.write_text("precious")
    site.copy("db", path, b"3")
    refused(site, Code.PATH_OCCUPIED)
    assert path.read_text() == "precious"
    assert not site.leftovers()


def test_renames_never_lose_what_appears(tmp_path: Path) -> None:
    """In the instant between the look and the rename somebody puts a file there; it is put back."""
    folder = os.open(tmp_path, os.O_PATH)
    try:
        for name in ("source", "target"):
            (tmp_path / name).write_text(name)
        with pytest.raises(FileExistsError):
            renames.move_new(folder, "source", "target")
        assert not renames.move_over(folder, "source", "target", lambda _: False)
        assert {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)} == {
            "source": "source",
            "target": "target",
        }
        assert renames.move_over(
            folder, "source", "target", lambda name: (tmp_path / name).read_text() == "target"
        )
        assert {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)} == {"target": "source"}
    finally:
        os.close(folder)


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("method", METHODS)
def test_missing_folders_of_a_home_are_made_as_its_owner(
    site: Site, tmp_path: Path, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir(0o700)
    os.chown(home, 4242, 4242)
    made_by: dict[str, int] = {}
    real = os.mkdir

    def mkdir(name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        made_by[name] = os.geteuid()
        real(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", mkdir)
    target = home / ".config" / "forge" / "token"
    site.add("token", target, owner="4242", group="4242", method=method, plaintext_on_disk=True)
    assert site.run() == {}
    monkeypatch.undo()
    for folder in (home / ".config", home / ".config" / "forge"):
        found = folder.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (4242, 4242, 0o700)
    assert (made_by[".config"], made_by["forge"]) == (4242, 4242)
    assert (target.is_symlink(), target.lstat().st_uid) == (method is Method.LINK, 4242)
    assert os.geteuid() == 0
