"""Parameters of the commands between secrets and password stores: pass, passage, gopass."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, many, option, options, parameters

_ACCEPT = "Accept a key that this clone has not seen, by its fingerprint, or all of them; may be repeated."


@parameters
class ImportPassParameters:
    """``secretsmith import pass [SUBTREE]``."""

    subtree: str | None = argument(
        "SUBTREE",
        "An entry or a folder of the store; without it, and without --map, all of the store.",
        default=None,
    )
    map: tuple[str, ...] = options(
        "--map", "NAME=PATH", "Copy this entry (NAME, NAME#KEY, NAME#*) into this file.", default=()
    )
    select: str | None = option(
        "--select",
        "PART",
        "What of each entry: a key, or * for all bytes; else its first line.",
        default=None,
    )
    to: tuple[str, ...] = options(
        "--to",
        "WHO[,WHO]",
        "Who may read the secrets: users, hosts or @groups; writes a rule for each.",
        default=(),
        separator=",",
    )
    plan: bool = flag(
        "--plan", "Say which entry would become which file; nothing is decrypted or written.", default=False
    )
    json: bool = flag(
        "--json", "With --plan: print JSON (docs/reference/schemas/import-plan.schema.json).", default=False
    )
    force: bool = flag("--force", "Replace other values that are there.", default=False)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class ImportPassageParameters(ImportPassParameters):
    """``secretsmith import passage [SUBTREE]``."""


@parameters
class ImportGopassParameters(ImportPassParameters):
    """``secretsmith import gopass [SUBTREE]``."""


@parameters
class ExportPassParameters:
    """``secretsmith export pass SECRET…``."""

    secrets: tuple[str, ...] = many("SECRET", "The secrets whose values go into the store.")
    name: str | None = option(
        "--name", "NAME", "The entry for one secret; NAME#* for all of it.", default=None
    )
    prefix: str = option("--prefix", "FOLDER", "A folder of the store for the entries.", default="")
    force: bool = flag("--force", "Replace other values that the store has there.", default=False)


@parameters
class ExportPassageParameters(ExportPassParameters):
    """``secretsmith export passage SECRET…``."""


@parameters
class ExportGopassParameters(ExportPassParameters):
    """``secretsmith export gopass SECRET…``."""


@parameters
class InstallPassExtensionParameters:
    """``secretsmith plugins install-pass-extension``."""

    system: bool = flag(
        "--system", "For all users, where pass needs no setting for it; for root.", default=False
    )
    passage: bool = flag("--passage", "For passage instead of pass.", default=False)
    force: bool = flag("--force", "Replace an extension of this name that is not ours.", default=False)


__all__ = [
    "ExportGopassParameters",
    "ExportPassParameters",
    "ExportPassageParameters",
    "ImportGopassParameters",
    "ImportPassParameters",
    "ImportPassageParameters",
    "InstallPassExtensionParameters",
]
