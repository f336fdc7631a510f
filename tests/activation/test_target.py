"""Where secrets go: a filesystem in memory that is ours, checked before anything is written."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hosts import Host, environment, mount, mounts_below, unmount_below

from secretsmith.activation.engine import Options, activate
from secretsmith.activation.ramdisk import Memory
from secretsmith.errors import Code, Conflict, SecretsmithError

NOEXEC_NODEV_NOSUID = 8 | 4 | 2
pytestmark = pytest.mark.usefixtures("open_descriptors")


def snapshot(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Everything but the lock file, which comes first and holds nothing."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".lock"):
            continue
        state = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path)] = (state.st_mode, content)
    return found


def refused(host: Host, code: Code, **changes: object) -> SecretsmithError:
    """Nothing is changed, and it is said why."""
    host.generations.parent.mkdir(exist_ok=True)
    before = snapshot(host.folder)
    with pytest.raises(SecretsmithError) as caught:
        host.run(**changes)
    assert caught.value.code is code
    assert snapshot(host.folder) == before
    return caught.value


@pytest.mark.usefixtures("as_root")
class TestMounts:
    def test_tmpfs_without_swap(self, host: Host) -> None:
        host.add("db", b"1")
        host.run(memory=Memory.MOUNT)
        kind, options = mounts_below(host.folder)[str(host.generations)]
        assert kind == "tmpfs"
        assert {"noswap", "nosuid", "nodev", "noexec", "rw"} <= options
        assert host.generations.stat().st_mode & 0o7777 == 0o751
        host.add("db", b"2")
        host.run(memory=Memory.MOUNT)
        assert len(mounts_below(host.folder)) == 1
        assert host.installed() == {"db": b"2"}
        assert host.run(memory=Memory.MOUNT).nothing_done
        assert host.run(memory=Memory.VERIFY).nothing_done

    def test_ramfs_where_noswap_is_unknown(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        from secretsmith.activation import kernel

        real = kernel.mount_memory

        def old_kernel(kind: str, folder: int, options: str) -> None:
            if "noswap" in options:
                raise OSError(22, "Invalid argument")
            real(kind, folder, options)

        monkeypatch.setattr(kernel, "mount_memory", old_kernel)
        host.add("db")
        host.run(memory=Memory.MOUNT)
        kind, options = mounts_below(host.folder)[str(host.generations)]
        assert kind == "ramfs"
        assert {"nosuid", "nodev", "noexec"} <= options
        assert host.installed() == {"db": b"value"}

    @pytest.mark.parametrize(
        ("kind", "options", "flags", "said"),
        [
            ("tmpfs", "mode=0751", NOEXEC_NODEV_NOSUID, "without noswap"),
            ("tmpfs", "mode=0751,noswap", 4 | 2, "without noexec"),
            ("ramfs", "mode=0751", 0, "without nosuid,nodev,noexec"),
            ("tmpfs", "mode=0751,noswap", NOEXEC_NODEV_NOSUID | 1, "read-only"),
            ("tmpfs", "mode=0777,noswap", NOEXEC_NODEV_NOSUID, "others could change it"),
            ("tmpfs", "mode=0751,noswap,uid=1", NOEXEC_NODEV_NOSUID, "belongs to user 1"),
            ("proc", "", NOEXEC_NODEV_NOSUID, "is a proc mount"),
        ],
    )
    def test_foreign_mounts(self, host: Host, kind: str, options: str, flags: int, said: str) -> None:
        host.add("db")
        host.generations.mkdir(parents=True)
        mount(kind, host.generations, options, flags)
        with pytest.raises(SecretsmithError) as caught:
            host.run(memory=Memory.MOUNT)
        assert caught.value.code is Code.TARGET
        assert said in caught.value.message
        assert not os.path.lexists(host.directory)

    def test_a_folder_inside_a_tmpfs_is_not_a_mount(self, host: Host) -> None:
        host.add("db")
        host.generations.parent.mkdir()
        mount("tmpfs", host.generations.parent, "mode=0755", 0)
        host.run(memory=Memory.MOUNT)
        assert mounts_below(host.folder)[str(host.generations)][0] == "tmpfs"

    @pytest.mark.parametrize("limit", ["size=4k", "nr_inodes=6"])
    def test_a_full_tmpfs_leaves_the_old_generation(self, host: Host, limit: str) -> None:
        host.add("a", b"1")
        host.generations.mkdir(parents=True)
        mount("tmpfs", host.generations, f"mode=0751,noswap,{limit}", NOEXEC_NODEV_NOSUID)
        if limit == "size=4k":
            host.add("a", b"x" * 8192)
            with pytest.raises(SecretsmithError) as caught:
                host.run(memory=Memory.MOUNT)
            assert caught.value.code is Code.NOSPC
            assert not os.path.lexists(host.directory)
            return
        host.run(memory=Memory.MOUNT)
        for name in ("b", "c", "d"):
            host.add(name)
        with pytest.raises(SecretsmithError) as caught:
            host.run(memory=Memory.MOUNT)
        assert caught.value.code is Code.NOSPC
        assert "generation 1 stays live" in caught.value.hints
        assert host.installed() == {"a": b"1"}
        assert {path.name for path in host.generations.iterdir()} == {"1", "state.json"}

    def test_no_mount_mounts_nothing(self, host: Host) -> None:
        host.add("db")
        refused(host, Code.NO_TMPFS, memory=Memory.VERIFY)

    def test_values_never_touch_the_disk_below(self, host: Host) -> None:
        host.add("db", b"canary in the mine")
        host.run(memory=Memory.MOUNT)
        unmount_below(host.folder)
        assert not list(host.generations.iterdir())


def test_a_folder_with_files_is_never_mounted_over(host: Host) -> None:
    host.add("db")
    host.generations.mkdir(parents=True)
    (host.generations / "precious").write_text("x")
    assert "files in it" in refused(host, Code.TARGET, memory=Memory.MOUNT).message


@pytest.mark.parametrize("kind", ["file", "symlink", "loop", "fifo"])
def test_generations_that_are_no_folder(host: Host, kind: str) -> None:
    host.add("db")
    host.generations.parent.mkdir()
    if kind == "file":
        host.generations.write_text("x")
    elif kind == "fifo":
        os.mkfifo(host.generations)
    else:
        host.generations.symlink_to("/tmp" if kind == "symlink" else host.generations)
    refused(host, Code.TARGET)


@pytest.mark.usefixtures("as_root")
def test_generations_of_somebody_else(host: Host) -> None:
    host.add("db")
    host.generations.mkdir(parents=True)
    os.chown(host.generations, 1, 1)
    refused(host, Code.TARGET)


@pytest.mark.parametrize("kind", ["folder", "file", "elsewhere", "draft", "zero", "up"])
def test_a_directory_that_is_not_our_link(host: Host, kind: str) -> None:
    host.add("db")
    host.directory.parent.mkdir()
    texts = {
        "elsewhere": "/etc/1",
        "draft": f"{host.generations}/1.tmp",
        "zero": f"{host.generations}/0",
        "up": f"{host.generations}/../1",
    }
    if kind == "folder":
        host.directory.mkdir()
        (host.directory / "precious").write_text("x")
    elif kind == "file":
        host.directory.write_text("precious")
    else:
        host.directory.symlink_to(texts[kind])
    error = refused(host, Code.TARGET)
    assert "never deleted" in error.hints[0]


@pytest.mark.parametrize("kind", ["symlink", "folder", "fifo"])
def test_a_lock_that_is_no_file(host: Host, kind: str) -> None:
    host.add("db")
    host.directory.parent.mkdir()
    lock = host.generations.with_name("secrets.d.lock")
    if kind == "symlink":
        lock.symlink_to(host.folder / "target")
    elif kind == "fifo":
        os.mkfifo(lock)
    else:
        lock.mkdir()
    with pytest.raises(SecretsmithError) as caught:
        host.run()
    assert caught.value.code is Code.TARGET
    assert not (host.folder / "target").exists()


def test_one_waits_for_the_other(host: Host) -> None:
    import fcntl

    host.add("db")
    host.run()
    with host.generations.with_name("secrets.d.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Conflict) as caught:
            host.run(wait=0.05)
    assert caught.value.code is Code.LOCKED
    assert f"process {os.getpid()}" in caught.value.message
    assert host.run().nothing_done


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b"])
def test_an_unsafe_manifest_changes_nothing(host: Host, name: str) -> None:
    host.add("good", b"1")
    host.run()
    host.add("good", b"2")
    host.manifest["secrets"].append({**host.manifest["secrets"][0], "name": name})
    refused(host, Code.NAME)
    assert host.installed() == {"good": b"1"}


def test_a_plain_folder_says_what_it_is(host: Host) -> None:
    host.add("db")
    assert any("NOT RAM" in note for note in host.run().notes)


class TestWithoutRoot:
    def test_in_a_namespace(self, host: Host, namespace: tuple[str, ...]) -> None:
        host.add("db", owner="postgres")
        found = host.door(
            "--owner-self",
            before=(
                *namespace,
                "sh",
                "-c",
                '"$@" && cat "$0"/run/secrets/db && grep secrets.d /proc/self/mountinfo',
                str(host.folder),
            ),
        )
        assert found.returncode == 0, found.stderr
        assert "every file belongs to user 0: owners need root" in found.stderr
        assert "value" in found.stdout
        assert "nosuid,nodev,noexec,relatime - ramfs" in found.stdout
        assert not list(host.generations.iterdir()), "outside, the folder is empty"

    def test_owners_in_a_namespace(self, host: Host, namespace: tuple[str, ...]) -> None:
        host.add("mine")
        host.add("db", owner="12345")
        found = host.door(before=namespace)
        assert found.returncode == 1
        assert "db: owner 12345, group root: this user namespace does not have them" in found.stderr
        assert "--owner-self" in found.stderr

    @pytest.mark.usefixtures("as_root")
    def test_as_an_ordinary_user(self) -> None:
        """Mounting is refused with the way out; the explicit flags work and say what they are."""
        with tempfile.TemporaryDirectory() as folder:  # pytest's own folder is for root only
            self._as_an_ordinary_user(Host(Path(folder)))

    def _as_an_ordinary_user(self, host: Host) -> None:
        host.add("db")
        for path in (host.folder, *host.folder.rglob("*")):
            os.chown(path, 65534, 65534)
        # Imported as root, as the interpreter itself may be out of nobody's reach; then nobody for good.
        script = (
            "import os, sys; import secretsmith.cli.activate as door, secretsmith.activation.decide;"
            "import secretsmith.activation.install, nacl._sodium, ctypes, encodings.ascii;"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.exit(door.main())"
        )

        def run(*options: str) -> subprocess.CompletedProcess[str]:
            command = host.command(*options)
            os.chown(host.folder / "manifest.json", 65534, 65534)
            return subprocess.run(
                [command[0], "-c", script, *command[3:]],
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
            )

        plain = run()
        assert (plain.returncode, plain.stdout) == (1, "")
        assert "mounting is not allowed here" in plain.stderr
        assert "unshare -Urm" in plain.stderr
        assert "--plain-folder" in plain.stderr
        owners = run("--plain-folder")
        assert owners.returncode == 1
        assert "only root can give files to others" in owners.stderr
        good = run("--plain-folder", "--owner-self")
        assert good.returncode == 0, good.stderr
        assert "NOT RAM" in good.stderr
        assert host.installed() == {"db": b"value"}
        assert (host.directory / "db").stat().st_uid == 65534


def test_the_manifest_alone_decides(host: Host) -> None:
    with pytest.raises(SecretsmithError) as caught:
        activate(b"{}", Options())
    assert caught.value.code is Code.MANIFEST
