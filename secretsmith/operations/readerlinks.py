"""The links from a secret to one of its readers that can be judged anywhere, without a key: rule, wanted, present.

``explain`` shows them, and a failed ``show`` or ``edit`` says which of them is broken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Final

from secretsmith.crypto.publickey import PublicKey, parse_public_key
from secretsmith.errors import RefusedInput
from secretsmith.operations.readers import Judged, names_of
from secretsmith.policy.membership import expand
from secretsmith.policy.principals import Host, HostStatus, Principal
from secretsmith.policy.resolve import Wanted
from secretsmith.project import REGISTRY_NAME, Project
from secretsmith.record import record

if TYPE_CHECKING:
    from secretsmith.documents.metadata import KeyGroup, Metadata

_BASIS: Final = {
    "file": "the file itself says so",
    "lock": "by the lock",
    "assumed": "assumed: it has as many anonymous recipients as wanted readers",
}


@record
class Link:
    """One link of the chain. ``ok`` is None where it cannot be looked at from here.

    ``detail`` is what was found, ``fix`` the command that mends a broken link (or says what to do).
    """

    step: str
    ok: bool | None
    detail: str
    fix: str | None = None


def reader_links(project: Project, path: str, principal: Principal, judged: Judged) -> Iterator[Link]:
    """Yield the links rule, wanted and present of ``principal`` to the file ``path``, which ``judged`` is about."""
    yield rule_link(project, path, principal, judged.wanted)
    yield wanted_link(principal)
    yield present_link(project, path, principal, judged)


def rule_link(project: Project, path: str, principal: Principal, wanted: Wanted) -> Link:
    """Say whether a rule names ``principal``, itself or through a group, or whether it is an admin.

    Whether it is in a state to read at all is another link.
    """
    reasons = []
    for rule in wanted.rules:
        way = expand(rule.readers, project.registry.groups).get(principal.name)
        if way is not None:
            through = f" through {' and '.join(f'@{group}' for group in way)}" if way else ""
            reasons.append(f"rule {rule.pattern} names {principal.name}{through}")
    if getattr(principal, "admin", False):
        reasons.append(f"{principal.name} is an admin")
    if reasons:
        return Link("rule", True, "; ".join(dict.fromkeys(reasons)))
    rules = ", ".join(rule.pattern for rule in wanted.rules)
    said = f"no rule names {principal.name} ({rules})" if rules else "no rule matches, so it is for admins"
    return Link("rule", False, said, f"secretsmith grant {quote(path)} --to {principal.name} --rekey")


def wanted_link(principal: Principal) -> Link:
    """Say whether the registry has a key of ``principal`` that may read, and since when."""
    name = principal.name
    if principal.reads and principal.keys:
        since = [old.until for old in principal.retired if old.until]
        when = f", since {max(since)}" if since else ""
        return Link(
            "wanted", True, f"registered: {', '.join(key.fingerprint for key in principal.keys)}{when}"
        )
    if isinstance(principal, Host):
        if principal.status is HostStatus.PENDING:
            fix = f'secretsmith host add {name} --key "ssh-ed25519 …" --rekey'
            return Link("wanted", False, f"{name} is pending: it has no key yet", fix)
        gone = [old.until for old in principal.retired if old.until]
        said = f"{name} is {principal.status}{f' since {max(gone)}' if gone else ''}, and reads nothing"
        return Link(
            "wanted", False, said, f'secretsmith host reprovision {name} --key "ssh-ed25519 …" (a new one)'
        )
    return Link(
        "wanted",
        False,
        f"{name} was removed, and reads nothing",
        f"give [users.{name}] in {REGISTRY_NAME} a key and no status, then: secretsmith rekey",
    )


def present_link(project: Project, path: str, principal: Principal, judged: Judged) -> Link:
    """Say whether the file is encrypted to every key of ``principal``, and to enough of its key groups."""
    keys = {key.fingerprint for key in principal.keys}
    missing, rekey = sorted(keys - judged.present.keys), f"secretsmith rekey {quote(path)}"
    if missing:
        return _absent(project, path, principal, judged, missing)
    metadata = _metadata(judged)
    if metadata is not None and len(metadata.groups) > 1:
        held = groups_of(metadata, principal.keys)
        if len(held) < metadata.threshold:
            said = f"{principal.name} is in {_of(len(held), metadata)}, and {metadata.threshold} are needed"
            return Link("present", False, said, together(project, path, metadata, held, judged.wanted.keys))
        if judged.regrouped:
            return Link("present", False, "its key groups are not those of its rule", rekey)
    how = _BASIS[judged.present.basis]
    return Link("present", True, f"encrypted to {', '.join(sorted(keys))} ({how})")


def _absent(
    project: Project, path: str, principal: Principal, judged: Judged, missing: Sequence[str]
) -> Link:
    present = judged.present
    old = sorted({item.key.fingerprint for item in principal.retired} & present.keys)
    readers = ", ".join((*names_of(project, present.keys), *present.unknown)) or "nobody that is known"
    said = f"not encrypted to {', '.join(missing)}"
    said += f" but to the old key {', '.join(old)}" if old else f"; it is for: {readers}"
    fix = f"secretsmith rekey {quote(path)}"
    if judged.readers is not None and judged.readers.kept:
        fix = f"say who is in which group by key_groups in its rule in {REGISTRY_NAME}, then: {fix}"
    elif present.unknown:
        said += "; rekey stops at a recipient that the registry never named"
        fix += " --drop-unknown (first see whose it is)"
    return Link("present", False, said, fix)


def _metadata(judged: Judged) -> Metadata | None:
    if judged.sealed is None or judged.sealed.sops is None:
        return None
    return judged.sealed.sops.metadata


def groups_of(metadata: Metadata, keys: Iterable[PublicKey]) -> tuple[int, ...]:
    """Return the numbers of the key groups that one of ``keys`` is in, in either recipient form."""
    own = {text for key in keys for text in (key.text, key.derived) if text}
    return tuple(number for number, group in enumerate(metadata.groups) if _texts(group) & own)


def together(
    project: Project, path: str, metadata: Metadata, held: Collection[int], wanted: Collection[str] = ()
) -> str:
    """Say how to open a document that takes several key groups, of which one has ``held``."""
    others = [
        " or ".join(_group_names(project, group, wanted))
        for number, group in enumerate(metadata.groups)
        if number not in held
    ]
    missing = metadata.threshold - len(held)
    return (
        f"open it together with {missing} of its other groups ({'; '.join(others)}):"
        f" SECRETSMITH_IDENTITY=KEYFILE:KEYFILE secretsmith show {quote(path)}"
    )


def _group_names(project: Project, group: KeyGroup, wanted: Collection[str]) -> list[str]:
    names: dict[str, None] = {}
    for entry in group.age:
        uses = project.registry.by_recipient(entry.recipient)
        chosen = [use for use in uses if use.key.fingerprint in wanted] or uses
        names[chosen[0].principal if chosen else entry.recipient] = None
    names |= dict.fromkeys(group.services)
    return list(names)


def _texts(group: KeyGroup) -> set[str]:
    found = set()
    for entry in group.age:
        try:
            found.add(parse_public_key(entry.recipient).text)
        except RefusedInput:
            continue  # a damaged recipient is nobody's
    return found


def _of(count: int, metadata: Metadata) -> str:
    return f"{count} of its {len(metadata.groups)} key groups"


__all__ = [
    "Link",
    "groups_of",
    "present_link",
    "reader_links",
    "rule_link",
    "together",
    "wanted_link",
]
