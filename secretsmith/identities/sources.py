"""The places where private keys are looked for, in the order of design.md §4. Nothing is read here.

The order and the names of the variables are those of sops (sops: age/keysource.go, loadIdentities), with our own variable
in front and the host key behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path

from secretsmith.record import record

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


class SourceKind(Enum):
    """How the private keys of a place are got."""

    FILE = "file"
    """A file of any kind we read: an ssh key, an age identity file, one encrypted with a passphrase."""
    HOST_KEY = "host key"
    """The machine's own ssh key: used only when nobody but root could have read or changed it."""
    TEXT = "text"
    """The text itself, from a variable: an age identity file or an ssh key."""
    COMMAND = "command"
    """The output of a command, which is run only when it is needed."""
    PLUGIN = "plugin"
    """What a plugin offers, which is asked when all others do not help."""


@record
class Source:
    """One place.

    ``name`` is what people are told (the variable, or the path with ``~``). ``location`` is an absolute path for files,
    the command line for commands, and empty for text: the value of such a variable is itself the secret.
    """

    name: str
    kind: SourceKind
    location: str


# The variables of sops, in its order.
_SOPS_VARIABLES = (
    ("SOPS_AGE_KEY", SourceKind.TEXT),
    ("SOPS_AGE_KEY_FILE", SourceKind.FILE),
    ("SOPS_AGE_KEY_CMD", SourceKind.COMMAND),
    ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", SourceKind.FILE),
    ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", SourceKind.COMMAND),
)


def declared_sources(environ: Mapping[str, str], *, cwd: Path, as_root: bool) -> Iterator[Source]:
    """Yield every place in order, whether or not anything is there; variables that are not set are no place.

    ``cwd`` is the folder that relative paths in variables start from; ``as_root`` adds the host key.
    """
    home = environ.get("HOME", "")
    for path in environ.get("SECRETSMITH_IDENTITY", "").split(os.pathsep):
        if path:
            yield Source("SECRETSMITH_IDENTITY", SourceKind.FILE, _absolute(path, cwd, home))
    for name, kind in _SOPS_VARIABLES:
        if value := environ.get(name):
            # The value of a text variable is the secret itself, and stays where it is.
            location = _absolute(value, cwd, home) if kind is SourceKind.FILE else value
            yield Source(name, kind, "" if kind is SourceKind.TEXT else location)
    yield from _default_files(environ, home)
    if as_root:
        yield Source(HOST_KEY, SourceKind.HOST_KEY, HOST_KEY)


def _default_files(environ: Mapping[str, str], home: str) -> Iterator[Source]:
    config = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    if config:
        path = f"{config}/sops/age/keys.txt"
        yield Source(_shortened(path, home), SourceKind.FILE, path)
    if home:
        yield Source("~/.ssh/id_ed25519", SourceKind.FILE, f"{home}/.ssh/id_ed25519")
        yield Source("~/.ssh/id_rsa", SourceKind.FILE, f"{home}/.ssh/id_rsa")


def _absolute(path: str, cwd: Path, home: str) -> str:
    # A shell expands ~ only at the start of an assignment's word, not in a list that a program puts together.
    if home and path.startswith("~/"):
        path = f"{home}/{path[2:]}"
    return os.path.normpath(cwd / path)


def _shortened(path: str, home: str) -> str:
    return f"~{path[len(home) :]}" if home and path.startswith(f"{home}/") else path


__all__ = ["HOST_KEY", "Source", "SourceKind", "declared_sources"]
