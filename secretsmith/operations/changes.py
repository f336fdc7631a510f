"""What every change of the registry has in common: one transaction, an admin left, and what is owed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from secretsmith.crypto.publickey import PublicKey, parse_public_key
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.operations.managed import managed_files
from secretsmith.operations.readers import found_entry, quick_drift, remember_accepted, wanted_by
from secretsmith.policy.lock import Debt, DebtReason
from secretsmith.policy.principals import NAME_RULE, KeyState, is_name
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import wanted_readers
from secretsmith.policy.words import shown
from secretsmith.project import Project, WriteSession, writing


@dataclass(frozen=True, slots=True)
class Changed:
    """A registry after a command.

    ``project`` is the repository as it is now. ``written`` is False when there was nothing to change. ``owed`` are the debt
    records that the change added.
    """

    project: Project
    written: bool
    owed: tuple[Debt, ...] = ()


def change_registry(
    project: Project,
    edit: Callable[[Registry, str], str],
    *,
    losing: Callable[[Registry], Mapping[str, DebtReason]] | None = None,
    shown_keys: Iterable[PublicKey] = (),
) -> Changed:
    """Write the text that ``edit`` makes of the registry and its text, read under the repository's lock.

    ``losing`` names who may lose access, and why; what they could read becomes debt. ``shown_keys`` are those that the
    command shows to whoever runs it, and so accepts for this clone.

    Raises:
        RefusedInput: NO_ADMIN, nobody would be left who reads everything; whatever ``edit`` and the registry refuse.
    """
    accepted = [key.fingerprint for key in shown_keys]
    with writing(project) as session:
        before = session.project
        text = edit(before.registry, before.registry_text)
        if text == before.registry_text:
            remember_accepted(before, accepted)
            return Changed(before, written=False)
        session.save_registry(text)
        refuse_without_admins(session.project.registry)
        reasons = losing(before.registry) if losing is not None else {}
        known = {*session.lock.debt}
        session.lock = session.lock.with_debt(lost_values(before, session.project, reasons))
        _keep_managed(session, before)
        remember_accepted(before, accepted)
        session.commit()
        after = replace(session.project, lock=session.lock)
        after.__dict__["ring"] = project.ring  # what it has asked for stays known
    return Changed(
        after, written=True, owed=tuple(record for record in after.lock.debt if record not in known)
    )


def _keep_managed(session: WriteSession, before: Project) -> None:
    """Put files into the lock that only a rule named which is gone now: else nobody would ever rekey them."""
    after = session.project
    if len(after.registry.rules) >= len(before.registry.rules):
        return
    for path in managed_files(before):
        if path not in session.lock.files and wanted_readers(after.registry, path) is None:
            session.lock = session.lock.with_file(path, found_entry(before, path))


def refuse_without_admins(registry: Registry) -> None:
    """Refuse a registry in which nobody with a key is admin (NO_ADMIN)."""
    if not any(user.keys for user in registry.admins()):
        raise RefusedInput(
            Code.NO_ADMIN,
            "no admin with a key would be left, and new secrets could not be read by anybody who manages them",
            hints=("first make somebody else admin: secretsmith user add NAME --admin --key …",),
        )


def lost_values(before: Project, after: Project, reasons: Mapping[str, DebtReason]) -> list[Debt]:
    """Return a debt record for each file that somebody in ``reasons`` could read and now has no business to.

    Keys that were in wrong hands or on a disk that is gone count although their owner reads on with another key.
    """
    if not reasons:
        return []
    records = []
    for path in managed_files(before):
        reading_on = set(wanted_by(after, path).names)
        for name in sorted(_could_read(before, path) & reasons.keys()):
            reason = reasons[name]
            if name not in reading_on or reason in ("compromised", "reinstalled"):
                records.append(Debt(path, None, name, reason, before.today))
    return records


def _could_read(project: Project, path: str) -> set[str]:
    """Name whose keys the file holds; where the file does not say, whoever should read it counts as well."""
    readers = set(wanted_by(project, path).names)
    try:
        present = quick_drift(project, path).present
    except SecretsmithError:
        return readers  # a damaged file may have been sound in an earlier commit
    owners = {use.principal for key in present.keys for use in project.registry.key_owner(key)}
    return owners | readers if present.unknown else owners


_CLONED = (
    "two computers with one key are one reader: on the one that was cloned, remove"
    " /etc/ssh/ssh_host_* and run ssh-keygen -A"
)
_PERSONS_KEY = "one key is for one name: make another, ssh-keygen -t ed25519 or age-keygen"


def check_new_name(registry: Registry, name: str, what: str) -> None:
    """Refuse a name that is none (NAME), or that somebody of the other kind has (NAME_CLASH)."""
    if not is_name(name):
        raise RefusedInput(Code.NAME, f"{shown(name)} cannot name a {what}", hints=(NAME_RULE,))
    other = registry.hosts if what == "user" else registry.users
    if name in other:
        kind = "host" if what == "user" else "user"
        raise RefusedInput(
            Code.NAME_CLASH, f"{name} is the name of a {kind} already", hints=(f"secretsmith {kind} list",)
        )


def parse_key(line: str, owner: str) -> PublicKey:
    """Parse a public key line for ``owner``; the error says whose key it is."""
    try:
        return parse_public_key(line)
    except RefusedInput as error:
        raise RefusedInput(error.code, f"{owner}: {error.message}", hints=error.hints) from None


def refuse_foreign_key(registry: Registry, key: PublicKey, owner: str) -> None:
    """Refuse a key that another principal has or had (EXISTS), or that ``owner`` itself gave up."""
    for use in registry.key_owner(key.fingerprint):
        if use.principal != owner:
            had = "is the key of" if use.state is KeyState.ACTIVE else f"is a {use.state} key of"
            raise RefusedInput(
                Code.EXISTS,
                f"{owner}: the key {key.fingerprint} {had} {use.principal}",
                hints=(_CLONED if use.principal in registry.hosts else _PERSONS_KEY,),
            )
        if use.state is not KeyState.ACTIVE:
            raise RefusedInput(
                Code.EXISTS,
                f"{owner}: the key {key.fingerprint} is registered as {use.state}, and does not come back into use",
                hints=("make a new key",),
            )


__all__ = [
    "Changed",
    "change_registry",
    "check_new_name",
    "lost_values",
    "parse_key",
    "refuse_foreign_key",
    "refuse_without_admins",
]
