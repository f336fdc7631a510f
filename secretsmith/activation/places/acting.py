"""Folders of custom paths: reached safely, and worked in as their own user where they are a user's."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator

from secretsmith.activation.accounts import Caller, Ownership
from secretsmith.activation.folders import Folder, safe_folder


@contextlib.contextmanager
def place_folder(
    parent: str,
    owner: Ownership,
    caller: Caller,
    *,
    create: bool = False,
    first: Callable[[int], object] = lambda _: None,
) -> Iterator[Folder]:
    """Open the folder ``parent`` for the block; below a folder of ``owner`` the block runs as that user.

    ``first`` is called with the open folder before that. So nothing that is reached there, however it is swapped meanwhile, can be more than that user's own.

    Raises:
        SecretsmithError: PATH_UNSAFE, NOT_FOUND, ACCESS (folders.safe_folder).
    """
    also = owner.uid if owner.uid not in caller.trusted else None
    become = functools.partial(acting_as, gid=owner.gid)
    with safe_folder(parent or "/", caller.trusted, also=also, create=create, become=become) as folder:
        first(folder.fd)
        if folder.owner is None:
            yield folder
        else:
            with acting_as(folder.owner, owner.gid):
                yield folder


@contextlib.contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """Be another user for the block; only root gets here, as others own no folders but their own."""
    groups, old_uid, old_gid = os.getgroups(), os.geteuid(), os.getegid()
    try:
        os.setgroups([])
        os.setegid(gid)
        os.seteuid(uid)
        yield
    finally:
        os.seteuid(old_uid)
        os.setegid(old_gid)
        os.setgroups(groups)


__all__ = ["acting_as", "place_folder"]
