"""One transaction, or one recovery, as a process of its own that the fault tests kill and starve.

Usage: commit_once.py CHECKOUT ROOT commit|recover. Prints the error's code. "begin" goes to standard error just before the
interesting part, as a mark in the system call trace.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import hashlib
import json  # noqa: F401  (loaded before the mark, so that the trace holds only what secretsmith does)

from secretsmith.errors import SecretsmithError
from secretsmith.store.clone import state_dir
from secretsmith.store.transaction import Transaction, recover

OLD = {
    "secrets/one.age": b"old one " * 999,
    "secrets/two.age": b"old two",
    "secrets/gone/three.age": b"old three",
}
NEW = {
    "secrets/one.age": b"new one",
    "secrets/two.age": b"new two " * 999,
    "secrets/fresh/deep/four.age": b"new four",
}


def commit(root: Path, state: Path) -> None:
    """Replace two files, make one in a new folder, remove one with its folder."""
    transaction = Transaction(root, state)
    for path, data in NEW.items():
        old = OLD.get(path)
        transaction.stage(path, data, expect=None if old is None else hashlib.sha256(old).hexdigest())
    gone = "secrets/gone/three.age"
    transaction.remove(gone, expect=hashlib.sha256(OLD[gone]).hexdigest(), prune_below="secrets")
    transaction.commit(_verify)


def _verify(path: str, data: bytes) -> None:
    if NEW[path] != data:
        raise SystemExit(f"{path}: not what was staged")


def main() -> int:
    root = Path(sys.argv[2])
    state = state_dir(root)
    os.write(2, b"begin\n")
    try:
        if sys.argv[3] == "commit":
            commit(root, state)
        else:
            recover(root, state)
    except SecretsmithError as error:
        print(error.code.value)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
