"""How to give a host what it declares, and to take away what it has no use for: the command, where one rule alone gives it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence

from secretsmith.policy.registry import REGISTRY_NAME, Registry
from secretsmith.policy.resolve import Wanted
from secretsmith.policy.rules import compile_pattern

FROM_BUILD = "secretsmith grant --from-build"


def granting(registry: Registry, path: str, host: str) -> str:
    """Say how a host comes to read what its build declares: where rules follow the build, by having them follow it again."""
    if any(rule.origin == "build" for rule in registry.rules):
        return FROM_BUILD
    return f"secretsmith grant {shlex.quote(path)} --to {host}"


def narrowing(wanted: Wanted, idle: Sequence[str], declared: Mapping[str, Collection[str]]) -> str:
    """Say how to take the hosts ``idle`` off a file whose readers are ``wanted``.

    ``declared`` has the files that each of them needs. It is the command, if one rule alone lets them read and is about nothing
    that they need; else where to look.
    """
    reasons = {reason for name in idle for reason in wanted.why[name]}
    if reasons and reasons <= {f"rule {rule.pattern}" for rule in wanted.rules if rule.origin == "build"}:
        return FROM_BUILD
    for rule in wanted.rules:
        matcher = compile_pattern(rule.pattern)
        useful = any(matcher.matches(file) for name in idle for file in declared[name])
        if reasons == {f"rule {rule.pattern}"} and not useful:
            return f"secretsmith revoke {shlex.quote(rule.pattern)} --from {','.join(idle)}"
    places = ", ".join(f"{rule.pattern} ({REGISTRY_NAME}:{rule.line})" for rule in wanted.rules)
    return f"if that is meant, leave it; else narrow the rule {places}"


__all__ = ["FROM_BUILD", "granting", "narrowing"]
