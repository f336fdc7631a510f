"""``secretsmith keyring``: what programs that ask python's keyring get out of this repository, on this computer."""

from __future__ import annotations

import json

from secretsmith.cli.arguments.keyrings import (
    KeyringApproveParameters,
    KeyringForgetParameters,
    KeyringListParameters,
)
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations.keyringlogins import KeyringLogins, Mapped, choose

_ANY = "(any)"


def list_logins(session: Session, given: KeyringListParameters) -> ExitCode:
    """Print what the registry maps, and whether it is approved here; opens nothing."""
    logins = KeyringLogins(session.project())
    if given.json:
        session.json(
            {
                "stores": logins.writable,
                "logins": [
                    {
                        "service": mapped.entry.service,
                        "username": mapped.entry.username,
                        "secret": mapped.entry.secret,
                        "key": mapped.entry.key,
                        "state": mapped.state,
                    }
                    for mapped in logins.mappings()
                ],
            }
        )
        return ExitCode.OK
    rows = [
        (_word(mapped.entry.service), _who(mapped.entry.username) or _ANY, _secret(mapped), mapped.state)
        for mapped in logins.mappings()
    ]
    session.table(("SERVICE", "USERNAME", "SECRET", "STATE"), rows)
    if logins.writable:
        session.note("programs may store logins here")
    return ExitCode.OK


def approve(session: Session, given: KeyringApproveParameters) -> ExitCode:
    """Record what programs may have; each mapping is shown, and without its name asked for."""
    if given.all and given.services:
        raise RefusedInput(
            Code.USAGE, "either services or --all", hints=("secretsmith keyring approve --all",)
        )
    if given.store and given.no_store:
        raise RefusedInput(Code.USAGE, "either --store or --no-store")
    logins = KeyringLogins(session.project())
    chosen = _chosen(session, logins, given)
    writable = True if given.store else False if given.no_store else None
    logins.approve(chosen, writable=writable)
    for mapped in chosen:
        session.note(f"approved: {_described(mapped)}")
    if writable is not None:
        session.note(f"programs may {'' if writable else 'not '}store logins here")
    elif not chosen:
        session.note("nothing was approved")
    return ExitCode.OK


def forget(session: Session, given: KeyringForgetParameters) -> ExitCode:
    """Take every approval for this repository back."""
    count = KeyringLogins(session.project()).withdraw()
    session.note(
        "programs get nothing from this repository any more" if count else "nothing was approved here"
    )
    return ExitCode.OK


def _chosen(session: Session, logins: KeyringLogins, given: KeyringApproveParameters) -> list[Mapped]:
    mappings = logins.mappings()
    if given.all:
        return [*mappings]
    if given.services:
        return choose(mappings, given.services)
    if given.store or given.no_store:
        return []
    return [
        each
        for each in mappings
        if each.state != "approved"
        and session.interaction.confirm(f"let {_described(each)}?", flag="the name of the service, or --all")
    ]


def _described(mapped: Mapped) -> str:
    who = _who(mapped.entry.username)
    asked = f"{_word(mapped.entry.service)} ({f'user {who}' if who else 'any user name'})"
    return f"programs that ask for {asked} have {_secret(mapped)}"


def _secret(mapped: Mapped) -> str:
    entry = mapped.entry
    return " ".join(_word(part) for part in (entry.secret, entry.key) if part is not None)


def _who(username: str | None) -> str:
    return "" if username is None else _word(username)


def _word(text: str) -> str:
    """Quote what does not look like one plain word: whoever wrote the registry could go on with our own sentence, or look alike."""
    plain = text.isascii() and text.isprintable() and not set(text) & set(" \"'()")
    return text if plain else json.dumps(text)


__all__ = ["approve", "forget", "list_logins"]
