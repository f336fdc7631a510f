"""Whose activation it is, the machine's or one user's, and where things are for either."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from secretsmith.activation.accounts import Caller
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.manifest import Manifest, Scope
from secretsmith.record import record, replace

_RUNTIME, _HOME = "$XDG_RUNTIME_DIR", "$HOME"


@record
class Surroundings:
    """Where activation writes besides the secrets: the status file, and the record of custom paths; None for none."""

    status: str | None = None
    paths: str | None = None


CREDSTORE_NAME = (
    "credstore"  # beside the record of custom paths: credentials, encrypted with a key of the machine
)
SYSTEM = Surroundings("/run/secretsmith/status.json", "/var/lib/secretsmith/paths.json")


def settled(manifest: Manifest, environ: Mapping[str, str], caller: Caller) -> Manifest:
    """Return the manifest with ``$HOME`` and ``$XDG_RUNTIME_DIR`` in its places replaced; the same for scope system.

    Raises:
        SecretsmithError: USAGE, for root, and where a variable is missing or names a folder that is not the user's own.
    """
    if manifest.scope is not Scope.USER:
        return manifest
    if caller.is_machine_root:
        raise RefusedInput(
            Code.USAGE,
            "this manifest is for a user (scope user), not for root",
            hints=(
                f"as that user: secretsmith-activate …, or: machinectl shell USER@ (host {manifest.host})",
            ),
        )
    known: dict[str, str] = {}

    def place(text: str) -> str:
        for variable in (_RUNTIME, _HOME):
            if text.startswith(f"{variable}/"):
                if variable not in known:
                    known[variable] = _own_folder(variable, environ, caller)
                return known[variable] + text.removeprefix(variable)
        return text

    return replace(
        manifest,
        directory=place(manifest.directory),
        generations=place(manifest.generations),
        identities=tuple(map(place, manifest.identities)),
        secrets=tuple(replace(item, path=item.path and place(item.path)) for item in manifest.secrets),
        templates=tuple(replace(item, path=item.path and place(item.path)) for item in manifest.templates),
    )


def surroundings(scope: Scope, environ: Mapping[str, str], caller: Caller) -> Surroundings:
    """Return the usual places; none where the caller is neither a machine's root nor a user with a session."""
    if scope is Scope.SYSTEM:
        return SYSTEM if caller.is_machine_root else Surroundings()
    runtime, home = environ.get(_RUNTIME[1:], ""), environ.get(_HOME[1:], "")
    return Surroundings(
        f"{os.path.realpath(runtime)}/secretsmith/status.json" if runtime.startswith("/") else None,
        f"{os.path.realpath(home)}/.local/state/secretsmith/paths.json" if home.startswith("/") else None,
    )


def _own_folder(variable: str, environ: Mapping[str, str], caller: Caller) -> str:
    value = environ.get(variable[1:], "")
    clean = os.path.realpath(value)  # /home is a link on some systems; further down, no link is followed
    if not value.startswith("/") or clean in ("/", "//"):
        hint = "run it in a session of that user, or in a unit of systemctl --user"
        raise SecretsmithError(Code.USAGE, f"{variable} is not set to a folder", hints=(hint,))
    try:
        found = os.stat(clean)
    except OSError:
        raise SecretsmithError(Code.NOT_FOUND, f"{variable}: {clean} does not exist", path=clean) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != caller.uid:
        raise SecretsmithError(Code.PATH_UNSAFE, f"{variable}: {clean} is no folder of yours", path=clean)
    return clean


__all__ = ["CREDSTORE_NAME", "SYSTEM", "Surroundings", "settled", "surroundings"]
