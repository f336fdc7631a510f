"""Parameters of the commands that work on values."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, many, options, parameters, switch

_SECRET = "A secret: a path from here, from the root, or below the secrets folder with or without suffix."
_KEY = "A slash path into a document, for instance mail/smtp."
_TO = "Who may read it, when no rule names the path yet: users, hosts or @groups; writes that rule."
_ACCEPT = "Accept a key that this clone has not seen, by its fingerprint, or all of them; may be repeated."
_DROP_UNKNOWN = "Drop recipients that the registry never named instead of stopping."
_REKEY = "Rekey the files that drift afterwards, or do not; without either, ask on a terminal."


@parameters
class ShowParameters:
    """``secretsmith show SECRET [KEY]``."""

    secret: str = argument("SECRET", _SECRET)
    key: str | None = argument("KEY", _KEY, default=None)


@parameters
class SetParameters:
    """``secretsmith set SECRET [KEY]``."""

    secret: str = argument("SECRET", _SECRET)
    key: str | None = argument("KEY", _KEY, default=None)
    to: tuple[str, ...] = options("--to", "WHO[,WHO]", _TO, default=(), separator=",")
    trim: bool = flag("--trim", "Remove one final newline of the input.", default=False)
    json: bool = flag(
        "--json", "With KEY: the input is JSON (a number, true, a list, an object).", default=False
    )
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())
    drop_unknown: bool = flag("--drop-unknown", _DROP_UNKNOWN, default=False)


@parameters
class EditParameters:
    """``secretsmith edit SECRET``."""

    secret: str = argument("SECRET", _SECRET)
    to: tuple[str, ...] = options("--to", "WHO[,WHO]", _TO, default=(), separator=",")
    keep_newline: bool = flag(
        "--keep-newline", "Keep the final newline that the editor added.", default=False
    )
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())
    drop_unknown: bool = flag("--drop-unknown", _DROP_UNKNOWN, default=False)


@parameters
class LsParameters:
    """``secretsmith ls [PATH…]``."""

    paths: tuple[str, ...] = many("PATH", "Files or folders; without any, all secrets.", default=())
    json: bool = flag("--json", "Print JSON (docs/reference/schemas/ls.schema.json).", default=False)


@parameters
class RmParameters:
    """``secretsmith rm SECRET…``."""

    secrets: tuple[str, ...] = many("SECRET", "The secrets to remove.")
    force: bool = flag("--force", "Remove without asking.", default=False)


@parameters
class MvParameters:
    """``secretsmith mv SOURCE TARGET``."""

    source: str = argument("SOURCE", _SECRET)
    target: str = argument("TARGET", "The new path.")
    rekey: bool | None = switch("--rekey", _REKEY, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class CpParameters:
    """``secretsmith cp SOURCE TARGET``."""

    source: str = argument("SOURCE", _SECRET)
    target: str = argument("TARGET", "The path of the copy.")
    to: tuple[str, ...] = options("--to", "WHO[,WHO]", _TO, default=(), separator=",")
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


__all__ = [
    "CpParameters",
    "EditParameters",
    "LsParameters",
    "MvParameters",
    "RmParameters",
    "SetParameters",
    "ShowParameters",
]
