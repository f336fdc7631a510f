"""Parameters of the commands about what went wrong between a secret and its readers: what is owed, what is in the way."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, many, option, parameters


@parameters
class DebtParameters:
    """``secretsmith debt``."""

    all: bool = flag(
        "--all",
        "Count what old keys of reinstalled hosts could read, too.",
        default=False,
    )
    history: bool = flag(
        "--history",
        "Also name files that are only in git history now, and that a key which lost its access opens.",
        default=False,
    )
    max_age: str | None = option(
        "--max-age",
        "DAYS",
        "Only what is owed for longer than so many days (30d) or weeks (4w).",
        default=None,
    )
    json: bool = flag("--json", "Print JSON (docs/reference/schemas/debt.schema.json).", default=False)


@parameters
class DebtClearParameters:
    """``secretsmith debt clear PATH… --because TEXT``."""

    paths: tuple[str, ...] = many("PATH", "Files with debt, which may be gone, or folders.")
    because: str = option("--because", "TEXT", "Why nobody has to change the value any more.")
    key: str | None = option(
        "--key", "KEY", "Only this value of a document, or those below it.", default=None
    )
    principal: str | None = option(
        "--principal", "WHO", "Only what is owed because of this user or host.", default=None
    )


@parameters
class ExplainParameters:
    """``secretsmith explain SECRET HOST``."""

    secret: str = argument("SECRET", "The secret.")
    host: str = argument("HOST", "The host, or user, that is to read it.")
    json: bool = flag("--json", "Print JSON (docs/reference/schemas/explain.schema.json).", default=False)


__all__ = ["DebtClearParameters", "DebtParameters", "ExplainParameters"]
