from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.errors import Code, ExitCode, NotFound, RefusedInput, SecretsmithError
from secretsmith.store.atomic import is_temp_name, read_file, temp_name, write_atomic

Within = Callable[[float], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_reads_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\0\xff" * 10)
    assert read_file(tmp_path / "f", 20) == b"\0\xff" * 10


def test_too_big_is_refused_without_reading_it(tmp_path: Path, within: Within) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with within(2), pytest.raises(RefusedInput) as caught:
        read_file(tmp_path / "f", 1 << 20)
    assert caught.value.code is Code.TOO_BIG


def test_a_file_that_grows_or_lies_about_its_size() -> None:
    # files of /proc say that they are empty
    with pytest.raises(RefusedInput) as caught:
        read_file(Path("/proc/self/status"), 16)
    assert caught.value.code is Code.TOO_BIG


def hostile(folder: Path) -> dict[str, Code]:
    (folder / "target").write_text("root:x:0:0")
    (folder / "link").symlink_to("target")
    (folder / "away").symlink_to("/etc/shadow")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop-a").symlink_to("loop-b")
    (folder / "loop-b").symlink_to("loop-a")
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    refused = dict.fromkeys(("link", "away", "dangling", "fifo", "folder", "socket"), Code.NOT_REGULAR)
    return {**refused, "loop-a": Code.SYMLINK}


def test_only_regular_files_are_read(tmp_path: Path, within: Within) -> None:
    for name, code in hostile(tmp_path).items():
        with within(2), pytest.raises(RefusedInput) as caught:
            read_file(tmp_path / name, 1000)
        assert caught.value.code is code, name
        assert caught.value.exit_code == ExitCode.USAGE
        assert "root:x" not in caught.value.message


def test_only_regular_files_are_replaced(tmp_path: Path) -> None:
    before = {name: os.lstat(tmp_path / name).st_ino for name in hostile(tmp_path)}
    for name in before:
        with pytest.raises(RefusedInput) as caught:
            write_atomic(tmp_path / name, b"x")
        assert caught.value.code is Code.NOT_REGULAR
    assert {name: os.lstat(tmp_path / name).st_ino for name in before} == before
    assert (tmp_path / "target").read_text() == "root:x:0:0"
    assert not any(is_temp_name(name) for name in os.listdir(tmp_path))


def test_a_device_is_refused() -> None:
    with pytest.raises(RefusedInput) as caught:
        read_file(Path("/dev/zero"), 10)
    assert caught.value.code is Code.NOT_REGULAR


def test_a_link_is_followed_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    (tmp_path / "link").symlink_to("key")
    assert read_file(tmp_path / "link", 10, follow=True) == b"k"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(RefusedInput) as caught:
        read_file(tmp_path / "loop", 10, follow=True)
    assert caught.value.code is Code.SYMLINK
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "pipe").symlink_to("fifo")
    with pytest.raises(RefusedInput) as caught:
        read_file(tmp_path / "pipe", 10, follow=True)
    assert caught.value.code is Code.NOT_REGULAR


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_file(tmp_path / "none", 10)
    with pytest.raises(NotFound):
        write_atomic(tmp_path / "none" / "x", b"")


def test_new_files_are_0644_under_the_umask(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"x")
    assert mode_of(tmp_path / "a") == 0o644
    os.umask(0o077)
    write_atomic(tmp_path / "b", b"x")
    assert mode_of(tmp_path / "b") == 0o600


def test_an_existing_mode_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    for mode in (0o600, 0o664, 0o444, 0o755):
        path.chmod(mode)
        write_atomic(path, b"new")
        assert mode_of(path) == mode
    # what is no permission (setuid) is never carried over
    path.chmod(0o4755)
    write_atomic(path, b"new")
    assert mode_of(path) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="owners need root")
def test_owners_are_kept_by_root(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    os.chown(path, 1234, 4321)
    write_atomic(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)
    # a new file belongs to whom its folder belongs to, so that sudo locks nobody out of his repository
    os.chown(tmp_path, 1234, 4321)
    write_atomic(tmp_path / "b", b"new")
    assert ((tmp_path / "b").stat().st_uid, (tmp_path / "b").stat().st_gid) == (1234, 4321)


def test_user_attributes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError:
        pytest.skip("no user attributes on this filesystem")
    from secretsmith.store.transaction import ANY, Transaction

    (tmp_path / "state").mkdir()
    transaction = Transaction(tmp_path, tmp_path / "state")
    transaction.stage("a", b"new", expect=ANY)
    transaction.commit()
    assert path.read_bytes() == b"new" and os.getxattr(path, "user.note") == b"kept"


def test_a_reader_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write_atomic(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


@given(st.text(min_size=1, max_size=300).filter(lambda text: "/" not in text and "\0" not in text))
def test_temporary_names(name: str) -> None:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return
    temp = temp_name(name)
    assert is_temp_name(temp) and len(os.fsencode(temp)) <= 255 and temp != temp_name(name)
    assert temp.startswith(".") and "/" not in temp


@pytest.mark.parametrize(
    "name", ["x.ss0123456789ab", ".x.ss0123456789aX", ".x.ss0123", ".ssh", ".x.age", ".x.ss"]
)
def test_other_names_are_not_ours(name: str) -> None:
    assert not is_temp_name(name)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that an unprivileged process can reach; pytest's own are private to root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


UNPRIVILEGED = """
import hashlib, json, os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from secretsmith.errors import SecretsmithError
from secretsmith.store.atomic import read_file, write_atomic
from secretsmith.store.index import StatIndex
from secretsmith.store.transaction import ANY, Transaction
root = Path(sys.argv[2])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
def stage():
    transaction = Transaction(root, root / ".git" / "secretsmith")
    transaction.stage("secrets/a.age", b"new", expect=ANY)
    transaction.stage("secrets/sub/b.age", b"new", expect=ANY)
    transaction.commit()
def index():
    found = StatIndex.load(root / ".git" / "secretsmith")
    found.digest(root, "secrets/a.age")
    found.save()
for attempt in (
    lambda: write_atomic(root / "secrets" / "a.age", b"new"),
    lambda: read_file(root / "secrets" / "private.age", 100),
    lambda: stage(),
    index,
):
    try:
        attempt()
        print("done")
    except SecretsmithError as error:
        print(error.code.value)
"""


def as_nobody(script: str, root: Path) -> list[str]:
    checkout = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", script, checkout, str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return list(done.stdout.split())


def test_a_read_only_repository_without_privileges(open_folder: Path) -> None:
    secrets = open_folder / "secrets"
    (open_folder / ".git" / "secretsmith").mkdir(parents=True)
    (open_folder / ".git" / "HEAD").write_text("x")
    secrets.mkdir()
    (secrets / "a.age").write_bytes(b"old")
    (secrets / "private.age").write_bytes(b"old")
    (secrets / "private.age").chmod(0)
    if os.geteuid() == 0:
        os.chown(open_folder / ".git" / "secretsmith", 65534, 65534)
    secrets.chmod(0o555)
    open_folder.chmod(0o555)
    try:
        results = as_nobody(UNPRIVILEGED, open_folder)
    finally:
        for folder in (open_folder, secrets):
            folder.chmod(0o755)
    assert results == ["E_ACCESS", "E_ACCESS", "E_ACCESS", "done"]
    assert (secrets / "a.age").read_bytes() == b"old"
    assert sorted(os.listdir(secrets)) == ["a.age", "private.age"]
    assert not set(os.listdir(open_folder / ".git" / "secretsmith")) & {"journal.json", "staging.json"}


TINY = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from secretsmith.errors import SecretsmithError
from secretsmith.store.atomic import write_atomic
from secretsmith.store.transaction import ANY, Transaction
root = Path(sys.argv[2])
(root / "state").mkdir()
for name in ("a", "b"):
    (root / name).write_bytes(name.encode() * 4000)
def everything():
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != "lock"}
before = everything()
def stage(sizes):
    transaction = Transaction(root, root / "state")
    for name, size in sizes.items():
        transaction.stage(name, b"n" * size, expect=ANY)
    transaction.commit()
for attempt in (lambda: write_atomic(root / "a", b"n" * 100_000), lambda: stage({"a": 20_000, "b": 20_000, "new/c": 20_000})):
    try:
        attempt()
        print("done")
    except SecretsmithError as error:
        print(error.code.value)
    print("same" if everything() == before and not (root / "new").exists() else "changed")
stage({"a": 10_000, "b": 10_000})
print("done" if (root / "b").read_bytes() == b"n" * 10_000 else "lost")
"""


def test_a_full_disk(tmp_path: Path) -> None:
    """A real tmpfs of 64 KiB, in a mount namespace of its own."""
    checkout = str(Path(__file__).resolve().parents[2])
    mount = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    shell = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" -I -S -B -c "$3" "$4" "$1"'
    try:
        done = subprocess.run(
            [*mount, "sh", "-c", shell, "sh", str(tmp_path), sys.executable, TINY, checkout],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no unshare")
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("namespaces are forbidden here")
    assert done.stderr == ""
    assert done.stdout.split() == ["E_NOSPC", "same", "E_NOSPC", "same", "done"]


def test_an_error_has_one_line_and_a_hint(tmp_path: Path) -> None:
    with pytest.raises(SecretsmithError) as caught:
        write_atomic(tmp_path / ("n" * 300), b"")
    assert caught.value.code is Code.NAME and "\n" not in caught.value.message
