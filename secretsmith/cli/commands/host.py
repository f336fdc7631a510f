"""``secretsmith host add|list|reprovision|retire``."""

from __future__ import annotations

from secretsmith.cli.arguments.principals import (
    HostAddParameters,
    HostListParameters,
    HostReprovisionParameters,
    HostRetireParameters,
)
from secretsmith.cli.commands.hostscan import after_scan, given_address, scan
from secretsmith.cli.keyinput import one_host_key
from secretsmith.cli.rekeying import agreed_rekey, chosen_rekey, note_debt, report_rekey
from secretsmith.cli.render import table
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations.hosts import (
    HostReprovisioned,
    RetireReason,
    add_host,
    host_key,
    host_rows,
    known_host,
    reprovision_host,
    retire_host,
    retire_reason,
)
from secretsmith.record import as_dict


def add(session: Session, given: HostAddParameters) -> ExitCode:
    """Register a host by its key, or without one as pending."""
    scanned = scan(session, given, replacing=False)
    line = scanned.key.line if scanned else one_host_key(session, given.name, given.key, given.key_file)
    if line is None and not given.pending:
        raise RefusedInput(
            Code.USAGE,
            f"{given.name}: no host key given",
            hints=(
                f"secretsmith host add {given.name} --scan",
                f'secretsmith host add {given.name} --key "ssh-ed25519 …"',
                f"it has none yet: secretsmith host add {given.name} --pending",
            ),
        )
    if line is not None and given.pending:
        raise RefusedInput(Code.USAGE, "--pending is for a host without a key")
    project = session.project()
    key = host_key(line, given.name) if line is not None else None
    rekey = chosen_rekey(session, given)
    done = add_host(project, given.name, key, address=given_address(given), rekey=rekey)
    what = {"added": "added", "activated": "is active now", "known": "is registered already"}[done.outcome]
    if key is None:
        session.note(f"{given.name} {what}, pending: secretsmith host add {given.name} --key …")
    else:
        session.note(f"{given.name} {what}, with the key {key.fingerprint}")
    for note in done.notes:
        session.note(note)
    after = after_scan(session, given, done.changed.project, scanned)
    report_rekey(session, done.changed, given.rekey, given.accept, project=after)
    return ExitCode.OK


def list_hosts(session: Session, given: HostListParameters) -> ExitCode:
    """Print one row for each active key."""
    rows = host_rows(session.project().registry)
    if given.json:
        session.json([as_dict(row) for row in rows])
        return ExitCode.OK
    cells = [(row.name, row.status, row.fingerprint or "-", row.recipient or "-") for row in rows]
    for text in table(("NAME", "STATUS", "FINGERPRINT", "RECIPIENT"), cells):
        session.line(text)
    return ExitCode.OK


def reprovision(session: Session, given: HostReprovisionParameters) -> ExitCode:
    """Show the old and the new key, ask, and put the new one in use, in registry and files at once.

    A host that runs on while its key is replaced has both for a time: ``--keep-old`` adds the new one, and ``--drop-old``, or
    the same command again with the new key, retires the other.
    """
    if given.drop_old:
        return _drop_old(session, given)
    reason = retire_reason(given.reason or RetireReason.REINSTALLED)
    if given.keep_old and reason is RetireReason.COMPROMISED:
        raise RefusedInput(Code.USAGE, "--keep-old lets the old key read on, and a compromised one must not")
    scanned = scan(session, given, replacing=True)
    line = scanned.key.line if scanned else one_host_key(session, given.name, given.key, given.key_file)
    if line is None:
        raise RefusedInput(
            Code.USAGE,
            f"{given.name}: no new host key given",
            hints=(
                f"secretsmith host reprovision {given.name} --scan",
                f'secretsmith host reprovision {given.name} --key "ssh-ed25519 …"',
            ),
        )
    project = session.project()
    host = known_host(project.registry, given.name)
    key = host_key(line, given.name)
    old = ", ".join(mine.fingerprint for mine in host.keys) or "no key"
    question = f"replace the key of {host.name}, {old}, by {key.fingerprint}?"
    if given.keep_old and host.keys:
        question = f"give {host.name} a second key, {key.fingerprint}, beside {old}?"
    rekey = agreed_rekey(session, given, host.name, question, changes=key.fingerprint != old)
    done = reprovision_host(project, given.name, key, reason=reason, keep_old=given.keep_old, rekey=rekey)
    _report_keys(session, done, reason)
    after = after_scan(session, given, done.changed.project, scanned)
    accept = (key.fingerprint, *given.accept)
    report_rekey(session, done.changed, given.rekey, accept, project=after)
    return ExitCode.OK


def _drop_old(session: Session, given: HostReprovisionParameters) -> ExitCode:
    """Retire the keys of a host but the one that was registered last."""
    if given.keep_old or given.scan or given.key is not None or given.key_file is not None:
        raise RefusedInput(
            Code.USAGE,
            "--drop-old takes no key: the one that was registered last stays",
            hints=(
                f"for another one: secretsmith host reprovision {given.name} --key …, without --drop-old",
            ),
        )
    reason = retire_reason(given.reason or RetireReason.REPLACED)
    project = session.project()
    host = known_host(project.registry, given.name)
    if len(host.keys) < 2:
        session.note(f"{host.name} has {len(host.keys) or 'no'} key: nothing to drop")
        return ExitCode.OK
    *old, key = host.keys
    gone = ", ".join(mine.fingerprint for mine in old)
    rekey = agreed_rekey(
        session, given, host.name, f"retire {gone} of {host.name}, and keep {key.fingerprint}?"
    )
    done = reprovision_host(project, host.name, key, reason=reason, rekey=rekey)
    _report_keys(session, done, reason)
    report_rekey(session, done.changed, given.rekey, given.accept)
    return ExitCode.OK


def _report_keys(session: Session, done: HostReprovisioned, reason: RetireReason) -> None:
    if not done.changed.written:
        session.note(f"{done.name} has this key already: {done.new.fingerprint}")
    for gone in done.old:
        session.note(f"{done.name}: {gone.fingerprint} is retired ({reason})")
    if done.changed.written:
        session.note(f"{done.name}: {done.new.fingerprint} is in use")
    for kept in done.kept:
        session.note(
            f"{done.name}: {kept.fingerprint} stays in use, until: secretsmith host reprovision {done.name} --drop-old"
        )
    for note in done.notes:
        session.note(note)
    note_debt(session, done.changed)


def retire(session: Session, given: HostRetireParameters) -> ExitCode:
    """Ask, take the host's keys out of use, and say what is owed."""
    reason = None if given.reason is None else retire_reason(given.reason)
    project = session.project()
    host = known_host(project.registry, given.name)
    what = "declare compromised" if given.compromised else "retire"
    question = f"{what} {host.name}? it will read nothing any more"
    rekey = agreed_rekey(session, given, host.name, question)
    done = retire_host(project, host.name, compromised=given.compromised, reason=reason, rekey=rekey)
    if done.changed.written:
        session.note(f"{host.name} is {done.status}")
    else:
        session.note(f"{host.name} is {done.status} already")
    for key in done.keys:
        session.note(f"{host.name}: {key.fingerprint} is retired")
    note_debt(session, done.changed)
    report_rekey(session, done.changed, given.rekey, given.accept)
    return ExitCode.OK


__all__ = ["add", "list_hosts", "reprovision", "retire"]
