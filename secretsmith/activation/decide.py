"""From encrypted files to decisions, and from failures to what a person is told. Imports cryptography."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secretsmith.activation.accounts import Caller, Ownership
from secretsmith.activation.diagnosis import no_key_at_all, nothing_opens
from secretsmith.activation.hostkeys import HostKeys, load_host_keys
from secretsmith.activation.opening import open_secrets
from secretsmith.activation.plan import Decision, Judge, Past, State
from secretsmith.activation.report import Problem
from secretsmith.activation.sources import Sources
from secretsmith.activation.state import Moment
from secretsmith.errors import CannotDecrypt, Code, SecretsmithError
from secretsmith.manifest import Manifest
from secretsmith.sensitive import Sensitive

_SHOWN = 10  # names in one line; status.json has them all


def decide(
    manifest: Manifest,
    caller: Caller,
    sources: Sources,
    owners: Mapping[str, Ownership | SecretsmithError],
    past: Past | None,
    now: Moment,
) -> tuple[list[Decision], list[Problem]]:
    """Decrypt what can be decrypted and decide each secret; nothing is written."""
    keys = load_host_keys(manifest.identities, caller.trusted)
    wanted = [secret for secret in manifest.secrets if isinstance(owners[secret.name], Ownership)]
    opened = open_secrets(manifest, wanted, sources, keys)
    judge = Judge(
        manifest,
        past,
        {key.identity.fingerprint for key in keys.keys},
        Ownership(caller.uid, caller.gid),
        now,
    )
    decisions = []
    for secret in manifest.secrets:
        owner = owners[secret.name]
        value = opened[secret.name] if isinstance(owner, Ownership) else owner
        decisions.append(judge.decide(secret, value, owner))
    none_opened = not any(isinstance(value, Sensitive) for value in opened.values())
    return decisions, _problems(manifest, decisions, keys, sources, now, none_opened=none_opened)


def _problems(
    manifest: Manifest,
    decisions: Sequence[Decision],
    keys: HostKeys,
    sources: Sources,
    now: Moment,
    *,
    none_opened: bool,
) -> list[Problem]:
    shut = [item for item in decisions if item.failure is not None and item.failure.code is Code.NO_IDENTITY]
    if not shut or not none_opened:
        return [_problem(item) for item in decisions if item.failure is not None]
    # One cause, so one message: not the same line for each of a hundred secrets.
    results = _results(shut)
    error: CannotDecrypt
    if keys.keys:
        files = list(dict.fromkeys(item.secret.source for item in shut))
        contents = [sources.contents[path] for path in files]
        error = nothing_opens(manifest, keys, contents, now.wall, results)
    else:
        error = no_key_at_all(manifest, keys.problems, results)
    whole = Problem(error, required=any(item.secret.required for item in shut))
    return [whole, *(_problem(item) for item in decisions if item.failure is not None and item not in shut)]


def _problem(decision: Decision) -> Problem:
    failure = decision.failure
    assert failure is not None  # noqa: S101  # for the type checker; callers select by it
    return Problem(failure, decision.secret.name, decision.secret.required, decision.state is State.STALE)


def _results(decisions: Sequence[Decision]) -> list[str]:
    kept = [item.secret.name for item in decisions if item.state is State.STALE]
    gone = [item.secret.name for item in decisions if item.state is not State.STALE]
    lines = []
    if kept:
        lines.append(f"last good values stay (stale): {_listed(kept)}")
    if gone:
        lines.append(f"not installed: {_listed(gone)}")
    return lines


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


__all__ = ["decide"]
