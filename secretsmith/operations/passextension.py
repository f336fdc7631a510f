"""``pass secretsmith link|sync|status``: installs the extension that lets people stay in pass.

pass sources ``secretsmith.bash`` from $PASSWORD_STORE_EXTENSIONS_DIR, else ``.extensions`` in the store, if
PASSWORD_STORE_ENABLE_EXTENSIONS is ``true`` and the file executable; from the folder of its whole installation without any
setting. passage does the same with names of its own (both: the scripts themselves, cmd_extension).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.record import record
from secretsmith.store.atomic import read_file
from secretsmith.store.userfile import replace_user_file

FILE_NAME: Final = "secretsmith.bash"
_MARKER: Final = "made by: secretsmith plugins install-pass-extension"
_MODE: Final = 0o755
_MAX_BYTES: Final = 1024 * 1024
_SYSTEM = re.compile(r'^\s*SYSTEM_EXTENSION_DIR="?([^"\n]+)"?\s*$', re.MULTILINE)
_SWITCH: Final = "PASSWORD_STORE_ENABLE_EXTENSIONS"
_SYSTEM_DEFAULT: Final = "/usr/lib/password-store/extensions"

EXTENSION: Final = f"""\
#!/usr/bin/env bash
# {_MARKER}

# pass and passage source this file. What they changed for themselves is taken back: their umask would make the files of a
# repository private, and git would not look for it above the store.
umask 022
unset GIT_CEILING_DIRECTORIES
[[ ${{GPG_TTY:-}} == /* ]] || unset GPG_TTY
if [[ -n ${{PASSAGE:-}} ]]; then
  secretsmith_scheme=passage
  export PASSAGE_DIR="$PREFIX"
else
  secretsmith_scheme=pass
  export PASSWORD_STORE_DIR="$PREFIX"
fi

secretsmith_usage() {{
  printf '%s\\n' "Usage:" \\
    "    $PROGRAM secretsmith link NAME SECRET [--to WHO,...]" \\
    "        Let the entry be the value of a secret of the repository around this folder." \\
    "    $PROGRAM secretsmith sync [PATH...]" \\
    "        Encrypt for hosts what changed in the store." \\
    "    $PROGRAM secretsmith status [PATH...]" \\
    "        Say what sync would do."
}}

case "${{1:-}}" in
  link)
    if [[ $# -lt 3 || $2 == -* ]]; then
      secretsmith_usage >&2
      exit 2
    fi
    exec secretsmith link "$secretsmith_scheme:$2" "${{@:3}}"
    ;;
  sync) exec secretsmith sync "${{@:2}}" ;;
  status) exec secretsmith sync --plan "${{@:2}}" ;;
  -h | --help | help)
    secretsmith_usage
    exit 0
    ;;
  *)
    secretsmith_usage >&2
    exit 2
    ;;
esac
"""


@record
class Installed:
    """Where the extension is; ``written`` is False when it was there. ``hints`` are what is still to be done."""

    path: Path
    written: bool
    hints: tuple[str, ...]


def install_extension(
    environ: Mapping[str, str], *, system: bool = False, passage: bool = False, force: bool = False
) -> Installed:
    """Write the extension where pass looks for it: in the person's store, or with ``system`` for all users.

    ``passage``: for passage. ``force`` replaces a file of this name that is not ours.

    Raises:
        NotFound: there is no pass, or no store.
        RefusedInput: EXISTS, another extension of this name; USAGE, passage has no place for all users.
        SecretsmithError: ACCESS, IO.
    """
    if system and passage:
        raise RefusedInput(Code.USAGE, "passage has no place for extensions of all users: leave out --system")
    folder = _system_folder(environ) if system else _own_folder(environ, passage)
    path = folder / FILE_NAME
    data = EXTENSION.encode()
    before = _present(path)
    if (
        before is not None
        and before != data
        and _MARKER not in before.decode("utf-8", "replace")
        and not force
    ):
        raise RefusedInput(
            Code.EXISTS,
            f"{path}: exists already, and is not ours",
            hints=("look at it; then replace it: --force",),
            path=str(path),
        )
    written = before != data or not os.access(path, os.X_OK)
    if written:
        replace_user_file(path, data, mode=_MODE)
    return Installed(path, written, () if system else tuple(_hints(environ, path, passage)))


def _present(path: Path) -> bytes | None:
    try:
        return read_file(path, _MAX_BYTES)
    except NotFound:
        return None


def _system_folder(environ: Mapping[str, str]) -> Path:
    """The folder that the installed pass looks into: distributions put it where they like."""
    program = shutil.which("pass", path=environ.get("PATH", os.defpath))
    if program is None:
        raise NotFound(Code.NOT_FOUND, "there is no pass on this computer", hints=("install pass",))
    text = read_file(Path(program), _MAX_BYTES, follow=True).decode("utf-8", "replace")
    found = _SYSTEM.search(text)
    return Path(found[1] if found and os.path.isabs(found[1]) else _SYSTEM_DEFAULT)


def _own_folder(environ: Mapping[str, str], passage: bool) -> Path:
    home = environ.get("HOME", "")
    if passage:
        given, store = "PASSAGE_EXTENSIONS_DIR", environ.get("PASSAGE_DIR") or f"{home}/.passage/store"
        folder = environ.get(given) or f"{home}/.passage/extensions"
    else:
        given, store = (
            "PASSWORD_STORE_EXTENSIONS_DIR",
            environ.get("PASSWORD_STORE_DIR") or f"{home}/.password-store",
        )
        folder = environ.get(given) or f"{store}/.extensions"
    if not os.path.isdir(store):
        raise NotFound(
            Code.NOT_FOUND,
            f"there is no store {store}",
            hints=("make it first" if passage else "pass init YOUR-GPG-KEY", "or for all users: --system"),
        )
    if not os.path.isabs(folder):
        raise RefusedInput(Code.USAGE, f"{given}: {folder!a} is no absolute path")
    return Path(folder)


def _hints(environ: Mapping[str, str], path: Path, passage: bool) -> list[str]:
    """What keeps pass from running it; it would only say "secretsmith is not in the password store"."""
    hints = []
    if environ.get(_SWITCH) != "true":  # passage has kept the name
        hints.append(f"it runs only with this in your shell's profile: export {_SWITCH}=true")
    if not passage and environ.get("PASSWORD_STORE_SIGNING_KEY"):
        hints.append(f"it runs only when signed: gpg --detach-sign {shlex.quote(str(path))}")
    return hints


__all__ = ["EXTENSION", "FILE_NAME", "Installed", "install_extension"]
