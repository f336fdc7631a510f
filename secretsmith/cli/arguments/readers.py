"""Parameters of the commands about who can read what."""

from __future__ import annotations

from secretsmith.cli.parameters import flag, many, option, options, parameters, switch

_ACCEPT = "Accept a key that this clone has not seen, by its fingerprint, or all of them; may be repeated."
_REKEY = (
    "Rekey all files that drift, in the same step, or do not; without either, ask on a terminal afterwards."
)
_PATTERN = "A pattern of paths, for instance 'secrets/web/**'."
_PATHS = "Files or folders; without any, all secrets."


@parameters
class GrantParameters:
    """``secretsmith grant PATTERN… --to WHO[,WHO]``, or ``secretsmith grant --from-build``."""

    patterns: tuple[str, ...] = many("PATTERN", _PATTERN, default=())
    to: tuple[str, ...] = options(
        "--to", "WHO[,WHO]", "Users, hosts or @groups; may be repeated.", separator=",", default=()
    )
    from_build: bool = flag(
        "--from-build",
        "Instead: ask the builders, and let each host read what it declares. Changes the rules marked"
        ' from = "build" alone.',
        default=False,
    )
    plan: bool = flag(
        "--plan",
        "With --from-build: only say what would become of the rules; exit 3 when there is something to do.",
        default=False,
    )
    yes: bool = flag(
        "--yes", "With --from-build: do not ask about hosts that no builder knows any more.", default=False
    )
    rekey: bool | None = switch("--rekey", _REKEY, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class RevokeParameters:
    """``secretsmith revoke PATTERN… --from WHO[,WHO]``."""

    patterns: tuple[str, ...] = many("PATTERN", _PATTERN)
    from_: tuple[str, ...] = options(
        "--from", "WHO[,WHO]", "Users, hosts or @groups; may be repeated.", separator=","
    )
    rekey: bool | None = switch("--rekey", _REKEY, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class RekeyParameters:
    """``secretsmith rekey [PATH…]``."""

    paths: tuple[str, ...] = many("PATH", _PATHS, default=())
    plan: bool = flag(
        "--plan", "Only say what would be done; exit 3 when there is something to do.", default=False
    )
    json: bool = flag(
        "--json", "With --plan: print JSON (docs/reference/schemas/rekey-plan.schema.json).", default=False
    )
    out: str | None = option(
        "--out",
        "PLAN",
        "With --plan: write it to a file, for --apply (docs/reference/schemas/rekey-plan-file.schema.json).",
        default=None,
    )
    apply: str | None = option(
        "--apply",
        "PLAN",
        "Do exactly what a plan says, if registry and files are still those it was made for.",
        default=None,
    )
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())
    form: str | None = option(
        "--form",
        "FORM",
        "Change the recipient form of host keys: native (ssh-ed25519, for age) or derived (age1…, for sops).",
        default=None,
        choices=("native", "derived"),
    )
    keep_data_key: bool = flag(
        "--keep-data-key",
        "Keep a document's data key though somebody who knows it loses access; recorded, and reported by check.",
        default=False,
    )
    drop_unknown: bool = flag(
        "--drop-unknown", "Drop recipients that the registry never named instead of stopping.", default=False
    )


@parameters
class CheckParameters:
    """``secretsmith check [PATH…]``."""

    paths: tuple[str, ...] = many("PATH", _PATHS, default=())
    format: str | None = option(
        "--format",
        "FORMAT",
        "What to print: text, JSON, SARIF 2.1.0 for code scanning, or workflow commands of GitHub Actions.",
        default=None,
        choices=("text", "json", "sarif", "github"),
    )
    json: bool = flag("--json", "As --format json (docs/reference/schemas/check.schema.json).", default=False)
    build: bool = flag(
        "--build",
        "Ask the builders now what the hosts declare; a build system may evaluate code.",
        default=False,
    )
    deep: bool = flag(
        "--deep",
        "Hash every file instead of trusting the stat index, and open all that your keys open, to check MACs and payloads.",
        default=False,
    )


__all__ = ["CheckParameters", "GrantParameters", "RekeyParameters", "RevokeParameters"]
