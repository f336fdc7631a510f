"""What every change of the registry has in common: one transaction, an admin left, and what is owed afterwards.

The files can go along: then registry, lock and files change together, or nothing does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from secretsmith.crypto.publickey import PublicKey, parse_public_key
from secretsmith.documents.format import Format, format_of
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.operations.debt import owed_values
from secretsmith.operations.managed import managed_files
from secretsmith.operations.readers import (
    found_entry,
    quick_drift,
    read_sealed,
    refuse_grouped_age,
    remember_accepted,
    verifier,
    wanted_by,
)
from secretsmith.operations.rekey import (
    Rekeyed,
    RekeyPlan,
    StagedRekey,
    finish_rekey,
    plan_rekey,
    stage_rekey,
)
from secretsmith.operations.rekeyplan import assumed_entry, concerning
from secretsmith.policy.lock import Debt, DebtReason
from secretsmith.policy.principals import NAME_RULE, KeyState, is_name
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import wanted_readers
from secretsmith.policy.words import shown
from secretsmith.project import Project, WriteSession, writing
from secretsmith.record import record


@record
class Changed:
    """A registry after a command.

    ``project`` is the repository as it is now. ``written`` is False when there was nothing to change in the registry.
    ``owed`` are the debt records that the change added. ``recorded`` counts files whose readers only the old registry tells,
    and which are on the lock now. Of a change with a rekey: ``plan`` is what was to be done, ``rekeyed`` was done, and
    ``blocked`` are files that nobody present can open, as they were.
    """

    project: Project
    written: bool
    owed: tuple[Debt, ...] = ()
    recorded: int = 0
    plan: RekeyPlan | None = None
    rekeyed: tuple[Rekeyed, ...] = ()
    blocked: tuple[str, ...] = ()


@record
class RekeyChoice:
    """That the files are rekeyed with the registry, and how.

    ``accept`` is what ``--accept`` gave. ``concerning``: only files where a key of this principal comes or goes. ``approve``
    is called with the project as it is to be and the plan, before anything is opened; what it raises stops everything. It
    is called with the repository's lock held, so that what was shown is what is done.
    """

    accept: tuple[str, ...] = ()
    concerning: str | None = None
    approve: Callable[[Project, RekeyPlan], None] | None = None
    progress: Callable[[int, int], None] | None = None


def change_registry(
    project: Project,
    edit: Callable[[Registry, str], str],
    *,
    losing: Callable[[Registry], Mapping[str, DebtReason]] | None = None,
    shown_keys: Iterable[PublicKey] = (),
    rekey: RekeyChoice | None = None,
) -> Changed:
    """Write the text that ``edit`` makes of the registry and its text, read under the repository's lock.

    ``losing`` names who may lose access, and why; what they could read becomes debt. ``shown_keys`` are those that the
    command shows to whoever runs it, and so accepts for this clone. ``rekey``: the files in the same transaction.

    Raises:
        RefusedInput: NO_ADMIN, nobody would be left who reads everything; whatever ``edit`` and the registry refuse.
        SecretsmithError: with ``rekey`` also whatever :func:`stage_rekey` refuses; then nothing at all is changed.
    """
    accepted = [key.fingerprint for key in shown_keys]
    with writing(project) as session:
        before = session.project
        text = edit(before.registry, before.registry_text)
        written = text != before.registry_text
        known = {*session.lock.debt}
        recorded, plan, staged = 0, None, None
        if written:
            recorded = _stage_registry(session, text, losing)
        if rekey is not None:
            plan = _plan_files(session, before, rekey)
            staged = _stage_files(session, plan, rekey, accepted)
        # Before the commit: after it, an interrupted run would be finished by the next one, which then asks once more.
        remember_accepted(session.project, (*accepted, *(staged.accepted if staged is not None else ())))
        if written or staged is not None:
            session.commit(verifier(session))
        if staged is not None:
            finish_rekey(session, staged)
        after = session.project.changed(lock=session.lock)
    return Changed(
        after,
        written,
        tuple(record for record in after.lock.debt if record not in known),
        recorded,
        plan,
        staged.rekeyed if staged is not None else (),
        staged.blocked if staged is not None else (),
    )


def _stage_registry(
    session: WriteSession, text: str, losing: Callable[[Registry], Mapping[str, DebtReason]] | None
) -> int:
    """Stage the registry, and on the lock what it means; returns of how many files the readers were recorded."""
    before = session.project
    session.save_registry(text)
    refuse_without_admins(session.project.registry)
    reasons = losing(before.registry) if losing is not None else {}
    session.lock = session.lock.with_debt(lost_values(before, session.project, reasons))
    recorded = _keep_assumed(session, before)
    _keep_managed(session, before)
    return recorded


def _plan_files(session: WriteSession, before: Project, rekey: RekeyChoice) -> RekeyPlan:
    """Plan the rekey for the registry and the lock that are to be written, and have the plan approved."""
    _ = session.project.index  # one for all that is made of this project
    after = session.project.changed(lock=session.lock)
    plan = plan_rekey(after)
    _refuse_contradictions(before, plan)
    if rekey.concerning is not None:
        plan = concerning(plan, after, rekey.concerning)
    if rekey.approve is not None:
        rekey.approve(after, plan)
    return plan


def _stage_files(
    session: WriteSession, plan: RekeyPlan, rekey: RekeyChoice, accepted: list[str]
) -> StagedRekey:
    try:
        return stage_rekey(session, plan, accept=(*rekey.accept, *accepted), progress=rekey.progress)
    except SecretsmithError as error:
        raise error.with_hints(
            "nothing was changed, the registry neither; to change it alone: --no-rekey"
        ) from None


_OF_RULES: Final = (Code.REG_RULES, Code.REG_EMPTY, Code.RULES, Code.KEY_GROUPS)


def _refuse_contradictions(before: Project, plan: RekeyPlan) -> None:
    """Refuse a registry that says what cannot be of a file, if the one before it did not."""
    for error in plan.unread:
        if error.code in _OF_RULES and error.path is not None and not _contradicts(before, error):
            raise error


def _contradicts(project: Project, error: SecretsmithError) -> bool:
    path = error.path or ""
    try:
        refuse_grouped_age(path, quick_drift(project, path).wanted)
    except SecretsmithError as found:
        return found.code == error.code
    return False


def _keep_assumed(session: WriteSession, before: Project) -> int:
    """Record who reads the files whose readers change, while the registry still tells; returns how many.

    Who is behind an anonymous stanza is known by its number alone, and with other readers wanted the numbers do not agree.
    """
    found = {}
    for path in managed_files(before):
        if format_of(path) is not Format.AGE or before.entry_for(path) is not None:
            continue
        try:
            if wanted_by(before, path).keys.keys() == wanted_by(session.project, path).keys.keys():
                continue
            entry = assumed_entry(before, read_sealed(before, path))
        except SecretsmithError:
            continue  # damaged, or with rules that contradict each other: nothing is known of it
        if entry is not None:
            found[path] = entry
    session.lock = session.lock.with_files(found)
    return len(found)


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
    """Return debt records for each file that somebody in ``reasons`` could read and now has no business to.

    Keys that were in wrong hands or on a disk that is gone count although their owner reads on with another key.
    """
    if not reasons:
        return []
    records: list[Debt] = []
    for path in managed_files(before):
        reading_on = set(wanted_by(after, path).names)
        losses = {
            name: reasons[name]
            for name in _could_read(before, path) & reasons.keys()
            if name not in reading_on or reasons[name] in ("compromised", "reinstalled")
        }
        records += owed_values(before, path, losses)
    return records


def _could_read(project: Project, path: str) -> set[str]:
    """Name whose keys the file holds; where the file does not say, whoever should read it counts as well."""
    readers = set(wanted_by(project, path).names)
    try:
        present = quick_drift(project, path).present
    except SecretsmithError:
        return readers  # a damaged file may have been sound in an earlier commit
    entry = project.lock.files.get(path)
    # Also whom we once wrote it to: who may push could strip his own stanza the day before he leaves.
    keys = present.keys | frozenset(entry.recipients if entry is not None else ())
    owners = {use.principal for key in keys for use in project.registry.key_owner(key)}
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
    "RekeyChoice",
    "change_registry",
    "check_new_name",
    "lost_values",
    "parse_key",
    "refuse_foreign_key",
    "refuse_without_admins",
]
