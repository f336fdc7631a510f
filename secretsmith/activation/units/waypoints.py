"""Folders on the way to custom paths, made before the sandboxed part of activation starts, which could not make them."""

from __future__ import annotations

import contextlib

from secretsmith.activation.accounts import Caller
from secretsmith.activation.folders import safe_folder
from secretsmith.activation.places.placed import make_record_folder
from secretsmith.errors import SecretsmithError
from secretsmith.manifest import Manifest


def make_waypoints(manifest: Manifest, caller: Caller, record: str | None = None) -> None:
    """Make the missing folders of custom paths, mode 0755, where all folders above are the caller's or root's.

    ``record`` is the file that remembers such paths; if there are any, its folder is made as well.

    What cannot be made is passed over: activation itself says so, of the secret that is concerned.
    """
    paths = {entry.path.rpartition("/")[0] for entry in manifest.entries() if entry.path is not None}
    for path in sorted(paths):
        with contextlib.suppress(SecretsmithError), safe_folder(path or "/", caller.trusted, create=True):
            pass
    if paths and record is not None:
        with contextlib.suppress(SecretsmithError):
            make_record_folder(record, caller)


__all__ = ["make_waypoints"]
