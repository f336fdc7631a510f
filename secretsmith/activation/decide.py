"""From encrypted files to decisions, and from failures to what a person is told. Imports cryptography."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from secretsmith.activation.accounts import Ownership
from secretsmith.activation.opening.diagnosis import no_key_at_all, nothing_opens
from secretsmith.activation.plan import (
    Decision,
    Judge,
    State,
    subject_of_secret,
    subject_of_template,
)
from secretsmith.activation.report import Problem
from secretsmith.activation.templates.deciding import decide_template
from secretsmith.activation.values import Values
from secretsmith.errors import CannotDecrypt, Code, SecretsmithError
from secretsmith.manifest import Manifest, ManifestSecret
from secretsmith.sensitive import Sensitive

Owners = Mapping[str, Ownership | SecretsmithError]
_SHOWN = 10  # names in one line; status.json has them all


def decide(
    manifest: Manifest, values: Values, owners: Owners, judge: Judge
) -> tuple[list[Decision], list[Problem]]:
    """Decrypt what can be decrypted and decide each entry of one phase's ``manifest``; nothing is written."""
    ours = _fingerprints(manifest, values)
    decisions: list[Decision] = []
    opened = 0
    for secret in manifest.secrets:
        owner = owners[secret.name]
        value = values.value(secret.name) if isinstance(owner, Ownership) else owner
        opened += isinstance(value, Sensitive)
        decisions.append(judge.decide(subject_of_secret(secret, ours), value, owner))
    for template in manifest.templates:
        names = {item.secret for item in template.placeholders.values()}
        uses = {name: subject_of_secret(values.secret(name), ours) for name in sorted(names)}
        subject = subject_of_template(template, uses.values())
        decisions.append(decide_template(template, subject, uses, values, owners[template.name], judge))
    return decisions, _problems(manifest, decisions, values, judge, none_opened=not opened)


def _fingerprints(manifest: Manifest, values: Values) -> Collection[str]:
    if manifest.host_key:
        return {manifest.host_key}
    return {key.identity.fingerprint for key in values.keys.keys}


def _problems(
    manifest: Manifest, decisions: Sequence[Decision], values: Values, judge: Judge, *, none_opened: bool
) -> list[Problem]:
    failed = [item for item in decisions if item.failure is not None]
    shut = [item for item in failed if _is_shut(item)]
    if not shut or not none_opened:
        return [_problem(item) for item in failed]
    # One cause, so one message: not the same line for each of a hundred secrets.
    results = _results(shut)
    error: CannotDecrypt
    if values.keys.keys:
        files = dict.fromkeys(
            item.entry.source for item in shut if isinstance(item.entry, ManifestSecret)
        ) or dict.fromkeys(secret.source for secret in values.manifest.secrets)
        readers = values.openings.readers(files)
        error = nothing_opens(manifest, values.keys, readers, judge.now.wall, results)
    else:
        error = no_key_at_all(manifest, values.keys.problems, results)
    whole = Problem(error, required=any(item.entry.required for item in shut))
    return [whole, *(_problem(item) for item in failed if not _is_shut(item))]


def _is_shut(decision: Decision) -> bool:
    return decision.failure is not None and decision.failure.code is Code.NO_IDENTITY


def _problem(decision: Decision) -> Problem:
    failure = decision.failure
    assert failure is not None  # noqa: S101  # for the type checker; callers select by it
    return Problem(failure, decision.entry.name, decision.entry.required, decision.state is State.STALE)


def _results(decisions: Sequence[Decision]) -> list[str]:
    kept = [item.entry.name for item in decisions if item.state is State.STALE]
    gone = [item.entry.name for item in decisions if item.state is not State.STALE]
    lines = []
    if kept:
        lines.append(f"last good values stay (stale): {_listed(kept)}")
    if gone:
        lines.append(f"not installed: {_listed(gone)}")
    return lines


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


__all__ = ["Owners", "decide"]
