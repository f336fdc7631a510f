"""``secretsmith host add|list|reprovision|retire``."""

from __future__ import annotations

from dataclasses import asdict

from secretsmith.cli.arguments.principals import (
    HostAddParameters,
    HostListParameters,
    HostReprovisionParameters,
    HostRetireParameters,
)
from secretsmith.cli.keyinput import one_host_key
from secretsmith.cli.rekeying import note_debt, offer_rekey
from secretsmith.cli.render import table
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, Interrupted, RefusedInput
from secretsmith.operations.hosts import (
    add_host,
    host_key,
    host_rows,
    known_host,
    reprovision_host,
    retire_host,
    retire_reason,
)


def add(session: Session, given: HostAddParameters) -> ExitCode:
    """Register a host by its key, or without one as pending."""
    line = one_host_key(session, given.name, given.key, given.key_file)
    if line is None and not given.pending:
        raise RefusedInput(
            Code.USAGE,
            f"{given.name}: no host key given",
            hints=(
                f'secretsmith host add {given.name} --key "ssh-ed25519 …"',
                f"it has none yet: secretsmith host add {given.name} --pending",
            ),
        )
    if line is not None and given.pending:
        raise RefusedInput(Code.USAGE, "--pending is for a host without a key")
    project = session.project()
    key = host_key(line, given.name) if line is not None else None
    done = add_host(project, given.name, key, address=given.address)
    what = {"added": "added", "activated": "is active now", "known": "is registered already"}[done.outcome]
    if key is None:
        session.note(f"{given.name} {what}, pending: secretsmith host add {given.name} --key …")
    else:
        session.note(f"{given.name} {what}, with the key {key.fingerprint}")
    for note in done.notes:
        session.note(note)
    offer_rekey(session, done.changed.project, given.rekey, given.accept)
    return ExitCode.OK


def list_hosts(session: Session, given: HostListParameters) -> ExitCode:
    """Print one row for each active key."""
    rows = host_rows(session.project().registry)
    if given.json:
        session.json([asdict(row) for row in rows])
        return ExitCode.OK
    cells = [(row.name, row.status, row.fingerprint or "-", row.recipient or "-") for row in rows]
    for text in table(("NAME", "STATUS", "FINGERPRINT", "RECIPIENT"), cells):
        session.line(text)
    return ExitCode.OK


def reprovision(session: Session, given: HostReprovisionParameters) -> ExitCode:
    """Show the old and the new key, ask, and put the new one in use."""
    reason = retire_reason(given.reason)
    line = one_host_key(session, given.name, given.key, given.key_file)
    if line is None:
        raise RefusedInput(
            Code.USAGE,
            f"{given.name}: no new host key given",
            hints=(f'secretsmith host reprovision {given.name} --key "ssh-ed25519 …"',),
        )
    project = session.project()
    host = known_host(project.registry, given.name)
    key = host_key(line, given.name)
    old = ", ".join(mine.fingerprint for mine in host.keys) or "no key"
    if key.fingerprint != old:
        _confirm(session, given.yes, f"replace the key of {host.name}, {old}, by {key.fingerprint}?")
    done = reprovision_host(project, given.name, key, reason=reason)
    if not done.changed.written:
        session.note(f"{host.name} has this key already: {key.fingerprint}")
    for gone in done.old:
        session.note(f"{host.name}: {gone.fingerprint} is retired ({reason})")
    if done.changed.written:
        session.note(f"{host.name}: {key.fingerprint} is in use")
    for note in done.notes:
        session.note(note)
    note_debt(session, done.changed)
    offer_rekey(session, done.changed.project, given.rekey, (key.fingerprint, *given.accept))
    return ExitCode.OK


def retire(session: Session, given: HostRetireParameters) -> ExitCode:
    """Ask, take the host's keys out of use, and say what is owed."""
    reason = None if given.reason is None else retire_reason(given.reason)
    project = session.project()
    host = known_host(project.registry, given.name)
    what = "declare compromised" if given.compromised else "retire"
    _confirm(session, given.yes, f"{what} {host.name}? it will read nothing any more")
    done = retire_host(project, host.name, compromised=given.compromised, reason=reason)
    if done.changed.written:
        session.note(f"{host.name} is {done.status}")
    else:
        session.note(f"{host.name} is {done.status} already")
    for key in done.keys:
        session.note(f"{host.name}: {key.fingerprint} is retired")
    note_debt(session, done.changed)
    offer_rekey(session, done.changed.project, given.rekey, given.accept)
    return ExitCode.OK


def _confirm(session: Session, yes: bool, question: str) -> None:
    if not yes and not session.interaction.confirm(question, flag="--yes"):
        raise Interrupted(Code.INTERRUPTED, "nothing was changed")


__all__ = ["add", "list_hosts", "reprovision", "retire"]
