"""Which store a reference means: the variables of pass, passage and gopass, and files in the person's own configuration.

Sources: pass(1) "ENVIRONMENT VARIABLES"; passage's script; gopass docs/config.md and internal/config/location.go.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith_pass.reference import Reference
from secretsmith_pass.stores import Store, store_at

CONFIG_NAME: Final = "secretsmith/stores.toml"
_MAX_CONFIG: Final = 1024 * 1024


def pass_store(reference: Reference, environ: Mapping[str, str]) -> Store:
    """Return pass's store, or the one that ``?store=`` names.

    Raises:
        NotFound: no store of that name.
        RefusedInput: the configuration is broken, a path in it not absolute.
    """
    default = environ.get("PASSWORD_STORE_DIR") or _home(environ, ".password-store")
    return store_at("pass", _chosen(reference, environ, default, {}), ".gpg", environ)


def passage_store(reference: Reference, environ: Mapping[str, str]) -> Store:
    """Return passage's store, or the one that ``?store=`` names. Raises as :func:`pass_store`."""
    default = environ.get("PASSAGE_DIR") or _home(environ, ".passage/store")
    return store_at("passage", _chosen(reference, environ, default, {}), ".age", environ)


def gopass_store(reference: Reference, environ: Mapping[str, str]) -> Store:
    """Return gopass's root store, or the mount that ``?store=`` names. Raises as :func:`pass_store`."""
    mounts = _mounts(environ)
    default = mounts.get("") or environ.get("PASSWORD_STORE_DIR") or _gopass_root(environ)
    return store_at("gopass", _chosen(reference, environ, default, mounts), ".age", environ)


def passage_identities(environ: Mapping[str, str]) -> Path:
    """Return the file with passage's private keys, which need not exist."""
    given = _absolute(environ, "PASSAGE_IDENTITIES_FILE")
    return Path(given or _home(environ, ".passage/identities"))


def gopass_identities(environ: Mapping[str, str]) -> Path:
    """Return the file with gopass's private keys, an age file under a passphrase, which need not exist."""
    return Path(_gopass_config(environ)).with_name("age") / "identities"


def _chosen(reference: Reference, environ: Mapping[str, str], default: str, mounts: Mapping[str, str]) -> str:
    if reference.store is None:
        return default
    known = {**mounts, **_configured(reference.scheme, environ)}
    if reference.store not in known:
        names = ", ".join(sorted(name for name in known if name)) or "none"
        raise NotFound(
            Code.NOT_FOUND,
            f"{reference.shown}: no store is named {reference.store} on this computer",
            hints=(
                f"stores that are: {names}",
                f'name it in ~/.config/{CONFIG_NAME}: [{reference.scheme}], {reference.store} = "/its/folder"',
            ),
        )
    return known[reference.store]


def _configured(scheme: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Read the person's own names for stores: a table for each scheme, name → folder."""
    place = Path(_config_folder(environ)) / CONFIG_NAME
    data = _text_of(place)
    try:
        table = tomllib.loads(data).get(scheme, {})
    except tomllib.TOMLDecodeError as error:
        raise RefusedInput(Code.FORMAT, f"{place}: no valid TOML: {error}", path=str(place)) from None
    if not isinstance(table, dict) or not all(isinstance(folder, str) for folder in table.values()):
        raise RefusedInput(Code.FORMAT, f'{place}: [{scheme}] holds lines NAME = "FOLDER"', path=str(place))
    return table


def _mounts(environ: Mapping[str, str]) -> dict[str, str]:
    """Read gopass's mounts, name → folder ("" is the root store), from its file in the syntax of git-config."""
    found: dict[str, str] = {}
    mount: str | None = None
    for line in _text_of(Path(_gopass_config(environ))).splitlines():
        text = line.strip()
        if text.startswith("["):
            head, _, name = text.strip("[]").partition(" ")
            mount = name.strip().strip('"') if head.lower() == "mounts" else None
        elif mount is not None and text.partition("=")[0].strip().lower() == "path":
            found[mount] = text.partition("=")[2].strip().strip('"')
    return found


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_CONFIG).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise RefusedInput(Code.ACCESS, f"{path}: {reason}", path=str(path)) from None


def _gopass_config(environ: Mapping[str, str]) -> str:
    home = _absolute(environ, "GOPASS_HOMEDIR")
    folder = f"{home}/.config" if home else _config_folder(environ)
    return f"{folder}/gopass/config"


def _gopass_root(environ: Mapping[str, str]) -> str:
    home = _absolute(environ, "GOPASS_HOMEDIR")
    data = _absolute(environ, "XDG_DATA_HOME") or _home(environ, ".local/share")
    return f"{f'{home}/.local/share' if home else data}/gopass/stores/root"


def _config_folder(environ: Mapping[str, str]) -> str:
    return _absolute(environ, "XDG_CONFIG_HOME") or _home(environ, ".config")


def _absolute(environ: Mapping[str, str], variable: str) -> str | None:
    """Return a folder that a variable names; a relative one would be the repository's, and is ignored as XDG has it."""
    folder = environ.get(variable, "")
    return folder if os.path.isabs(folder) else None


def _home(environ: Mapping[str, str], below: str) -> str:
    home = environ.get("HOME")
    if not home or not os.path.isabs(home):
        raise RefusedInput(Code.USAGE, "HOME is not set, so no store is known")
    return f"{home}/{below}"


__all__ = [
    "CONFIG_NAME",
    "gopass_identities",
    "gopass_store",
    "pass_store",
    "passage_identities",
    "passage_store",
]
