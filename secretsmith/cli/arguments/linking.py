"""Parameters of the commands about values that are kept elsewhere."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, many, options, parameters

_ACCEPT = "Accept a key that this clone has not seen, by its fingerprint, or all of them; may be repeated."


@parameters
class LinkParameters:
    """``secretsmith link REFERENCE SECRET``."""

    reference: str = argument(
        "REFERENCE", "Where the value is kept, as SCHEME:NAME: for instance pass:web/db."
    )
    secret: str = argument(
        "SECRET", "The file that gets it: a path from here, from the root, or below the secrets folder."
    )
    to: tuple[str, ...] = options(
        "--to",
        "WHO[,WHO]",
        "Who may read it, when no rule names the path yet: users, hosts or @groups; writes that rule.",
        default=(),
        separator=",",
    )
    replace: bool = flag(
        "--replace", "Replace the value of a file that is there already, without asking.", default=False
    )
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class UnlinkParameters:
    """``secretsmith unlink SECRET``."""

    secret: str = argument("SECRET", "The linked secret.")
    keep_file: bool = flag(
        "--keep-file", "End the link alone: the file stays, as a secret like any other.", default=False
    )
    build: bool = flag(
        "--build",
        "Ask the builders now whether a host declares the file; a build system may evaluate code.",
        default=False,
    )


@parameters
class SyncParameters:
    """``secretsmith sync [PATH…]``."""

    paths: tuple[str, ...] = many("PATH", "Linked secrets or folders; without any, all links.", default=())
    build: bool = flag(
        "--build",
        "Ask the builders what hosts declare with a source: make what is missing, for exactly these hosts.",
        default=False,
    )
    prune: bool = flag(
        "--prune",
        "As --build, and remove what a sync of the build made and nobody declares any more; links by hand stay.",
        default=False,
    )
    plan: bool = flag(
        "--plan", "Only say what would be done; exit 3 when there is something to do.", default=False
    )
    json: bool = flag(
        "--json", "With --plan: print JSON (docs/reference/schemas/sync-plan.schema.json).", default=False
    )
    approve: tuple[str, ...] = options(
        "--approve",
        "REFERENCE|all",
        "Approve on this computer that an entry goes to those who read it here, or all of them; may be repeated.",
        default=(),
    )
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())
    yes: bool = flag(
        "--yes",
        "With --build or --prune: do not ask about hosts that no builder knows any more.",
        default=False,
    )


__all__ = ["LinkParameters", "SyncParameters", "UnlinkParameters"]
