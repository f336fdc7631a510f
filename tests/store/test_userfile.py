"""Files outside of a repository: replaced as a whole, private from the first moment, and in memory unless allowed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from secretsmith.errors import Code, RefusedInput
from secretsmith.sensitive import Sensitive
from secretsmith.store.scratch import PREFIX, sweep
from secretsmith.store.userfile import (
    UserFile,
    private_folder,
    refuse_disk,
    replace_user_file,
    write_below,
)


@pytest.fixture
def memory() -> Iterator[Path]:
    base = Path("/dev/shm") / f"secretsmith-test.{os.getpid()}.{os.urandom(4).hex()}"
    base.mkdir(mode=0o700)
    yield base
    for folder, folders, names in os.walk(base, topdown=False):
        for name in names:
            (Path(folder) / name).unlink()
        for name in folders:
            path = Path(folder) / name
            path.unlink() if path.is_symlink() else path.rmdir()
    base.rmdir()


def test_mode_and_link_stay(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old")
    file.chmod(0o644)
    (tmp_path / "link").symlink_to(file)
    replace_user_file(tmp_path / "link", b"new")
    assert file.read_bytes() == b"new" and stat.S_IMODE(file.stat().st_mode) == 0o644
    assert (tmp_path / "link").is_symlink()
    replace_user_file(tmp_path / "ssh/known_hosts", b"x")
    assert stat.S_IMODE((tmp_path / "ssh/known_hosts").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ssh").stat().st_mode) == 0o700
    replace_user_file(file, b"program", mode=0o755)
    assert stat.S_IMODE(file.stat().st_mode) == 0o755
    replace_user_file(tmp_path / "lib/x", b"program", mode=0o755)
    assert stat.S_IMODE((tmp_path / "lib/x").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "lib").stat().st_mode) == 0o755
    (tmp_path / "folder").mkdir()
    with pytest.raises(RefusedInput):
        replace_user_file(tmp_path / "folder", b"x")


def test_a_private_folder_is_not_swept(memory: Path) -> None:
    made = private_folder("host.web1", {"XDG_RUNTIME_DIR": str(memory)})
    assert made.parent == memory and stat.S_IMODE(made.stat().st_mode) == 0o700
    assert not made.name.startswith(PREFIX)
    sweep(memory)
    assert made.is_dir()


def test_a_link_to_a_disk_is_a_disk(memory: Path, tmp_path: Path) -> None:
    if tmp_path.stat().st_dev == memory.stat().st_dev:
        pytest.skip("tests run in memory here")
    file = UserFile("etc/ssh/key", Sensitive(b"canary"), 0o600)
    (memory / "out").symlink_to(tmp_path)
    (memory / "in").mkdir()
    (memory / "in/etc").symlink_to(tmp_path)
    for folder in (memory / "out", memory / "in"):
        with pytest.raises(RefusedInput) as caught:
            write_below(folder, [file], on_disk=False)
        assert caught.value.code is Code.NO_TMPFS
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    write_below(memory / "out", [file], on_disk=True)
    assert (tmp_path / "etc/ssh/key").read_bytes() == b"canary"
    refuse_disk(memory / "not/yet/there")
