"""What an age plugin gets from us: a search path, a small environment and a time limit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from secretsmith.crypto import parameters
from secretsmith.errors import Code, SecretsmithError
from secretsmith.record import record

# What plugins need to find their hardware and a pinentry; the rest of our environment may hold secrets.
_KEPT: Final = frozenset(
    {
        "DBUS_SESSION_BUS_ADDRESS",
        "DISPLAY",
        "HOME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "LOGNAME",
        "SSH_AUTH_SOCK",
        "TMPDIR",
        "USER",
        "WAYLAND_DISPLAY",
        "XDG_RUNTIME_DIR",
    }
)


@record
class PluginSettings:
    """How plugins are found and run.

    ``search`` are absolute folders, in order; ``environ`` is all that the plugin sees beside PATH; ``seconds`` is its
    own time, questions to a person not counted.
    """

    search: tuple[str, ...]
    environ: Mapping[str, str]
    seconds: float = parameters.PLUGIN_SECONDS

    @classmethod
    def from_environ(
        cls, environ: Mapping[str, str] | None = None, *, seconds: float = parameters.PLUGIN_SECONDS
    ) -> PluginSettings:
        """Take PATH and the kept variables from ``environ``, by default from this process.

        Relative folders are left out: with "." in PATH a repository could bring its own plugin.
        """
        given = os.environ if environ is None else environ
        folders = given.get("PATH", os.defpath).split(os.pathsep)
        return cls(
            search=tuple(folder for folder in folders if os.path.isabs(folder)),
            environ={name: value for name, value in given.items() if name in _KEPT},
            seconds=seconds,
        )

    @property
    def path(self) -> str:
        """The search path as PATH has it."""
        return os.pathsep.join(self.search)

    def require(self, name: str, failure: type[SecretsmithError]) -> None:
        """Check that ``age-plugin-NAME`` exists. ``name`` was checked when its key was parsed.

        Raises:
            SecretsmithError: PLUGIN_MISSING, of the class ``failure``.
        """
        candidates = (os.path.join(folder, f"age-plugin-{name}") for folder in self.search)
        if not any(os.path.isfile(path) and os.access(path, os.X_OK) for path in candidates):
            raise failure(
                Code.PLUGIN_MISSING,
                f"the age plugin age-plugin-{name} is not installed",
                hints=(f"install age-plugin-{name} into a folder of PATH",),
            )


__all__ = ["PluginSettings"]
