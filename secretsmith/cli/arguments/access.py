"""Parameters of the commands that say who can read what."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, many, option, parameters, switch


@parameters
class AccessParameters:
    """``secretsmith access [WHO|SECRET…]``."""

    subjects: tuple[str, ...] = many(
        "WHO|SECRET",
        "Users, hosts, @groups, secrets or folders; without any, everything.",
        default=(),
    )
    keys: bool = flag("--keys", "List the keys of documents one by one, not the files.", default=False)
    json: bool = flag(
        "--json",
        "Print JSON, down to the keys of documents (docs/reference/schemas/access.schema.json; with --diff "
        "docs/reference/schemas/access-diff.schema.json).",
        default=False,
    )
    diff: str | None = option(
        "--diff",
        "REV|REV..REV",
        "Who gained and lost what since a git revision, or between two (REV...REV: since they parted).",
        default=None,
    )
    markdown: bool = flag("--markdown", "Print Markdown, as for a pull request.", default=False)


@parameters
class BlastRadiusParameters:
    """``secretsmith blast-radius PRINCIPAL``."""

    principal: str = argument(
        "PRINCIPAL|SHA256:…", "A user or host, with every key it ever had; or one key by its fingerprint."
    )
    history: bool | None = switch(
        "--history",
        "Look through all commits for what the keys open there, too, or do not; in git it is done unless told not to.",
        default=None,
    )
    json: bool = flag(
        "--json", "Print JSON (docs/reference/schemas/blast-radius.schema.json).", default=False
    )


__all__ = ["AccessParameters", "BlastRadiusParameters"]
