"""``grant --from-build``: rules for what hosts declare, kept as declarations come and go.

One rule for each declared file, marked ``from = "build"``, names the hosts that declare it. Rules without that mark are never
touched. What a builder does not say counts as not declared, so nothing is done while a builder that may know more is broken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from secretsmith.errors import Code, Conflict, RefusedInput, SecretsmithError
from secretsmith.operations.build import BuiltHost, recognising
from secretsmith.operations.builddoubts import doubts, missing_builders
from secretsmith.operations.buildexport import export_build, forget_absent
from secretsmith.operations.changes import Changed, RekeyChoice, change_registry
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.plugin.loader import Loader
from secretsmith.policy.buildrules import RuleChange, build_rule_changes, set_build_rules
from secretsmith.policy.lock import DebtReason
from secretsmith.policy.membership import expand
from secretsmith.policy.patterns import check_pattern
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import matching_rules
from secretsmith.policy.words import shown
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.store.paths import relative

_SOME = 3


@record
class LeftOut:
    """Declarations that no rule was made for: why, and the next command."""

    message: str
    hint: str


@record
class BuildGrants:
    """What the rules of the build are to become.

    ``hosts`` is what builders declare, ``wanted`` what follows from it: file → hosts. ``changes`` lead there. ``left`` are
    declarations that cannot be followed, ``notes`` are what is odd. ``vanished`` are registered hosts that would lose access though
    what they declare may only not be seen here; ``doubts`` says why, for each reason once.
    """

    hosts: tuple[BuiltHost, ...]
    wanted: Mapping[str, tuple[str, ...]]
    changes: tuple[RuleChange, ...]
    left: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    vanished: tuple[str, ...]
    doubts: tuple[str, ...] = ()


def plan_build_grants(project: Project, *, loader: Loader | None = None) -> BuildGrants:
    """Ask the builders what hosts declare, and say what becomes of the rules of the build. Writes no file of the repository.

    Raises:
        NotFound: PLUGIN_MISSING, no builder recognises the repository.
        RefusedInput: REG_RULES or NAME, a declared file that cannot be the path of a rule.
        SecretsmithError: PLUGIN_FAILED, a builder is broken, and what it declares is not known; whatever builders say of their input.
    """
    return build_grants(project, asked_hosts(project, loader=loader), loader=loader)


def asked_hosts(project: Project, *, loader: Loader | None = None) -> tuple[BuiltHost, ...]:
    """Ask the builders what hosts declare, all of them or none. Raises as :func:`plan_build_grants`."""
    loader = loader or Loader()
    _, broken = recognising(RepositoryContext(project), None, loader)
    if broken:
        raise SecretsmithError(
            Code.PLUGIN_FAILED,
            f"{broken[0].message}; what it declares is not known, so nothing was granted or taken away",
            hints=(broken[0].hint,),
        )
    return export_build(project, loader=loader).hosts


def grant_from_build(
    project: Project,
    planned: BuildGrants,
    *,
    rekey: RekeyChoice | None = None,
    loader: Loader | None = None,
) -> tuple[BuildGrants, Changed]:
    """Make the rules of the build say what hosts declare, in one transaction; returns what was done, and the repository after it.

    It is worked out anew from the registry as it is under the lock. ``rekey`` as in :func:`change_registry`.

    Raises:
        Conflict: CHANGED, hosts would lose access that ``planned`` does not name as vanished.
        RefusedInput: REG_SCHEMA, rules that are not written as ``[[rules]]``.
        SecretsmithError: as :func:`change_registry`.
    """
    done = planned

    def change(registry: Registry, text: str) -> str:
        nonlocal done
        done = build_grants(project.changed(registry=registry), planned.hosts, loader=loader)
        if not {*done.vanished} <= {*planned.vanished}:
            raise Conflict(
                Code.CHANGED,
                "the registry changed meanwhile; nothing was granted or taken away",
                hints=("secretsmith grant --from-build, once more",),
            )
        return set_build_rules(text, done.wanted)

    def losing(_: Registry) -> Mapping[str, DebtReason]:
        return {name: "revoked" for change in done.changes for name in change.remove}

    changed = change_registry(project, change, losing=losing, rekey=rekey)
    forget_absent(project)
    return done, changed


def build_grants(
    project: Project,
    hosts: Sequence[BuiltHost],
    only: Collection[str] | None = None,
    *,
    loader: Loader | None = None,
) -> BuildGrants:
    """Say what becomes of the rules of the build when ``hosts`` declare what they do; of the files ``only`` alone, if given.

    Raises:
        RefusedInput: as :func:`plan_build_grants`.
    """
    wanted, left = _wanted(project, hosts, only)
    if only is not None:
        wanted |= _kept(project.registry, only)
    changes = build_rule_changes(project.registry, wanted)
    losing: dict[str, list[str]] = {}
    for change in changes:
        for name in change.remove:
            if name in project.registry.hosts and project.registry.hosts[name].reads:
                losing.setdefault(name, []).append(change.path)
    missing = missing_builders(project, loader or Loader()) if losing else ()
    why = doubts(hosts, losing, missing)
    reasons = dict.fromkeys(why.values())
    return BuildGrants(
        tuple(hosts),
        wanted,
        changes,
        tuple(left),
        tuple(_notes(project, wanted, changes)),
        tuple(name for name in project.registry.hosts if name in why),
        tuple(f"{', '.join(name for name in why if why[name] == text)}: {text}" for text in reasons),
    )


def _kept(registry: Registry, only: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return what the rules of the build say already of other files than ``only``."""
    found: dict[str, tuple[str, ...]] = {}
    for rule in registry.rules:
        if rule.origin == "build" and rule.pattern not in only:
            found[rule.pattern] = (*found.get(rule.pattern, ()), *rule.readers)
    return found


def _wanted(
    project: Project, hosts: Iterable[BuiltHost], only: Collection[str] | None
) -> tuple[dict[str, tuple[str, ...]], list[LeftOut]]:
    """Return file → hosts for the rules, and what there is no rule for."""
    registry, left = project.registry, []
    declared: dict[str, set[str]] = {}
    for host in hosts:
        name = host.declared.name
        if name in registry.hosts:
            paths = [declared_path(secret.file, name, secret.origin) for secret in host.declared.stored]
            for path in paths:
                if only is None or path in only:
                    declared.setdefault(path, set()).add(name)
        elif any(only is None or secret.file in only for secret in host.declared.stored):
            left.append(
                LeftOut(
                    f"{name} declares secrets, and the registry has no such host",
                    f"secretsmith host add {name} --scan",
                )
            )
    wanted = {}
    for path, names in sorted(declared.items()):
        reason = _in_the_way(registry, path, names)
        if reason is None:
            wanted[path] = tuple(sorted(names))
        elif reason.message:
            left.append(reason)
    return wanted, left


def declared_path(file: str, host: str, origin: str) -> str:
    """Return a declared file as the path of a rule; a wildcard in it would be a grant of other files.

    Raises:
        RefusedInput: REG_RULES or NAME.
    """
    try:
        check_pattern(path := relative(file))
    except RefusedInput as error:
        raise RefusedInput(error.code, f"{host} declares {shown(file)} ({origin}): {error.message}") from None
    if "*" in path or "?" in path:
        raise RefusedInput(
            Code.REG_RULES,
            f"{host} declares {shown(file)} ({origin}): a rule with this path would be about other files too",
            hints=("rename the file, without * and ?",),
        )
    return path


def _in_the_way(registry: Registry, path: str, names: Collection[str]) -> LeftOut | None:
    """Say why there is no rule for a file; with an empty message where none is needed."""
    if registry.secrets != "." and not path.startswith(f"{registry.secrets}/"):
        return LeftOut(
            f"{', '.join(sorted(names))}: declared is {path}, which does not lie below {registry.secrets}/",
            f"move it below {registry.secrets}/, and declare it there",
        )
    for rule in matching_rules(registry, path):
        if rule.key_groups is not None and rule.origin is None:
            # A second rule would have to say the groups too. Which group a host belongs to is for a person to decide.
            out = sorted({*names} - {*expand(rule.readers, registry.groups)})
            message = f"{', '.join(out)}: declared is {path}, and rule {rule.pattern} divides its readers into key groups"
            return LeftOut(
                message if out else "", f"put them into key_groups and readers of {registry.name}:{rule.line}"
            )
    return None


def _notes(
    project: Project, wanted: Mapping[str, Sequence[str]], changes: Iterable[RuleChange]
) -> Iterator[str]:
    for name in sorted({name for change in changes for name in change.add}):
        host = project.registry.hosts[name]
        if not host.reads:
            yield f"{name} is {host.status}, and reads nothing"
        elif not host.keys:
            yield f"{name} has no key yet: secretsmith host add {name} --key …"
    absent = [path for path in wanted if not (project.root / path).is_file()]
    if absent:
        some = ", ".join(absent[:_SOME]) + (", …" if len(absent) > _SOME else "")
        count = "1 declared file is" if len(absent) == 1 else f"{len(absent)} declared files are"
        yield f"{count} not there yet: {some}: secretsmith set"


__all__ = [
    "BuildGrants",
    "LeftOut",
    "RuleChange",
    "asked_hosts",
    "build_grants",
    "declared_path",
    "grant_from_build",
    "plan_build_grants",
]
