"""Files of a user outside of any repository that a command was asked to write: known_hosts, keys for an installer."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from secretsmith.errors import Code, RefusedInput
from secretsmith.record import record
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import write_atomic
from secretsmith.store.failures import naming
from secretsmith.store.scratch import in_memory, memory_base

_PRIVATE: Final = 0o600


@record
class UserFile:
    """One file to write: ``path`` below a folder, its bytes, its mode."""

    path: str
    data: Sensitive
    mode: int


def replace_user_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write ``data`` to ``path`` atomically; owner and, without ``mode``, mode of an existing file stay, a new one gets 0600.

    A symbolic link stays one: what it points to is replaced. The folder is made (0700; 0755 with ``mode``) if there is none.

    Raises:
        RefusedInput: NOT_REGULAR.
        SecretsmithError: NOSPC, ACCESS, IO.
    """
    target = Path(os.path.realpath(path))
    with naming(path):
        os.makedirs(target.parent, 0o700 if mode is None else 0o755, exist_ok=True)
    write_atomic(target, data, mode=_PRIVATE if mode is None and not target.exists() else mode)


def private_folder(label: str, environ: Mapping[str, str]) -> Path:
    """Make a new private folder in memory that stays until its user removes it, and return it.

    Its name does not begin as those of scratch folders do, which are swept away when their process ends.

    Raises:
        SecretsmithError: NO_TMPFS, ACCESS, IO.
    """
    path = memory_base(environ) / f"secretsmith-{label}.{os.urandom(8).hex()}"
    with naming(path):
        os.mkdir(path, 0o700)
    return path


def write_below(folder: Path, files: Iterable[UserFile], *, on_disk: bool) -> None:
    """Write private files below ``folder``, which is made with 0755 if there is none, as an installer copies them.

    ``on_disk`` allows a filesystem that is not in memory.

    Raises:
        RefusedInput: NO_TMPFS, the folder is not in memory; nothing is written.
        SecretsmithError: NOSPC, ACCESS, IO.
    """
    if not on_disk:
        refuse_disk(folder)
    for file in files:
        path = folder / file.path
        with naming(path):
            os.makedirs(path.parent, 0o755, exist_ok=True)
        if not on_disk:  # a mount or a link further down
            refuse_disk(path.parent)
        write_atomic(path, file.data.expose(), mode=file.mode, durable=on_disk)


def refuse_disk(folder: Path) -> None:
    """Raise RefusedInput (NO_TMPFS) unless ``folder``, or the nearest folder above it that exists, is in memory."""
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    with naming(nearest):
        descriptor = os.open(nearest, os.O_RDONLY | os.O_CLOEXEC)
        try:
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            if is_folder and in_memory(descriptor):
                return
        finally:
            os.close(descriptor)
    raise RefusedInput(
        Code.NO_TMPFS,
        f"{folder}: not in memory, and a private key would stay on the disk",
        hints=(
            "leave it out: a private folder in memory is made then",
            "or, if the disk may hold the key: --plaintext-on-disk",
        ),
        path=str(folder),
    )


__all__ = ["UserFile", "private_folder", "refuse_disk", "replace_user_file", "write_below"]
