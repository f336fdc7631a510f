"""How units are told of changed secrets, and what came of it: the data of activation.units.telling."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum

from secretsmith.activation.units.changes import NO_CHANGES, UnitChanges
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.manifest import Scope
from secretsmith.record import field, record

# Fixed, and folders of root alone: whoever starts activation does not choose its programs. The first is NixOS's.
SEARCHED = ("/run/current-system/sw/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")


class Notify(Enum):
    """Who restarts and reloads units."""

    SYSTEMCTL = "systemctl"
    NIXOS = "nixos"
    NONE = "none"


@record
class UnitOptions:
    """How units are told. ``block``: wait until they have restarted. ``environment`` is for systemctl, besides PATH."""

    how: Notify
    block: bool = True
    user: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@record
class UnitResult:
    """Which units were told what; in a dry run, which would be. ``idle`` do not run, so they need not hear of it.

    ``untold`` is what could not be handed over, because systemd did not answer: the next run should try that again.
    """

    restarted: tuple[str, ...] = ()
    reloaded: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    problems: tuple[SecretsmithError, ...] = ()
    notes: tuple[str, ...] = ()
    untold: UnitChanges = NO_CHANGES


def unit_options(environ: Mapping[str, str], scope: Scope, chosen: str | None) -> UnitOptions:
    """Decide how units are told.

    ``environ`` is the environment as the caller gave it, ``chosen`` what ``--units`` says, if anything. Inside
    NixOS's switch-to-configuration (``NIXOS_ACTION``) that program restarts units, after ours has run; inside a unit
    (``INVOCATION_ID``) nothing is waited for: what is restarted may be ordered after us, and both would wait for ever.

    Raises:
        RefusedInput: USAGE, ``chosen`` is no such word, or it is ``nixos`` for a user.
    """
    user = scope is Scope.USER
    if chosen is None:
        acting = not user and environ.get("NIXOS_ACTION") in ("switch", "test", "dry-activate")
        how = Notify.NIXOS if acting else Notify.SYSTEMCTL
    elif chosen in (words := [item.value for item in Notify]):
        how = Notify(chosen)
    else:
        raise RefusedInput(Code.USAGE, f"--units wants one of {', '.join(words)}")
    if user and how is Notify.NIXOS:
        raise RefusedInput(Code.USAGE, "--units nixos is for the machine; user units want systemctl or none")
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    environment = {"XDG_RUNTIME_DIR": runtime} if user else {}
    return UnitOptions(how, block="INVOCATION_ID" not in environ, user=user, environment=environment)


__all__ = ["SEARCHED", "Notify", "UnitOptions", "UnitResult", "unit_options"]
