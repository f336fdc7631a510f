"""What ``--scan`` adds to ``secretsmith host add`` and ``host reprovision``."""

from __future__ import annotations

from secretsmith.cli.arguments.principals import HostAddParameters, HostReprovisionParameters
from secretsmith.cli.session import Session
from secretsmith.errors import Code, Interrupted, RefusedInput
from secretsmith.operations.scan import (
    Scanned,
    fix_known_hosts,
    read_fingerprint,
    remember_address,
    scan_host,
)
from secretsmith.operations.sshclient import check_address
from secretsmith.project import Project

_Given = HostAddParameters | HostReprovisionParameters


def given_address(given: _Given) -> str | None:
    """Return the address as a word or as an option; RefusedInput when both are given, or a word without --scan."""
    if given.at is None:
        return given.address
    if not given.scan:
        raise RefusedInput(
            Code.USAGE, f"what is {given.at}? an address goes with --scan", hints=("or: --address ADDRESS",)
        )
    if given.address not in (None, given.at):
        raise RefusedInput(Code.USAGE, "two addresses: as a word, and with --address")
    return check_address(given.at) and given.at


def scan(session: Session, given: _Given, *, replacing: bool) -> Scanned | None:
    """Ask the host for its key and say all that is known of it; None without ``--scan``.

    A new host's key is asked about here, unless its fingerprint was given; to replace one is asked by the command itself.
    """
    address = given_address(given)
    if not given.scan:
        if given.fingerprint is not None or given.fix_known_hosts:
            raise RefusedInput(Code.USAGE, "--fingerprint and --fix-known-hosts go with --scan")
        return None
    _refuse_mixed(given)
    found = scan_host(
        session.project(),
        given.name,
        address,
        replacing=replacing,
        fingerprint=given.fingerprint,
        fix=given.fix_known_hosts,
    )
    for note in found.notes:
        session.note(note)
    if not replacing and not found.proven:
        _ask(session, found)
    return found


def after_scan(session: Session, given: _Given, project: Project, found: Scanned | None) -> Project:
    """Once the key is registered: keep the address, and mend known_hosts if asked to. Returns the project as it is then."""
    address = given_address(given)
    if address is not None:
        project = remember_address(project, given.name, address)
    if found is not None and given.fix_known_hosts:
        for note in fix_known_hosts(found, replacing=isinstance(given, HostReprovisionParameters)):
            session.note(note)
    return project


def _refuse_mixed(given: _Given) -> None:
    if given.key is not None or given.key_file is not None or getattr(given, "pending", False):
        raise RefusedInput(Code.USAGE, "--scan excludes --key, --key-file and --pending")
    if given.fingerprint is not None:
        read_fingerprint(given.fingerprint)
    elif given.yes:
        raise RefusedInput(
            Code.USAGE,
            "with --scan, --yes needs --fingerprint: nobody looks at what the network says",
            hints=(
                f"read it on the console of {given.name}: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
                "then: --fingerprint SHA256:…",
            ),
        )


def _ask(session: Session, found: Scanned) -> None:
    question = f"register {found.name} with this key, {found.key.fingerprint}?"
    if not session.interaction.confirm(question, flag="--fingerprint SHA256:… from its console"):
        raise Interrupted(Code.INTERRUPTED, "nothing was changed")


__all__ = ["after_scan", "given_address", "scan"]
