"""``secretsmith identity``: the private keys that open secrets here, and the keyrings that unlock them."""

from __future__ import annotations

import time

from secretsmith.cli.arguments.identities import (
    IdentityForgetParameters,
    IdentityListParameters,
    IdentityLockParameters,
    IdentityRememberParameters,
    IdentityUnlockParameters,
)
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations import identitylist, identityremember, identityunlock
from secretsmith.operations.identitykeys import ChosenKey, Person
from secretsmith.record import as_dict


def list_identities(session: Session, given: IdentityListParameters) -> ExitCode:
    """Print every place that is looked at, in order, with what was found; unlocks nothing and shows no private half."""
    listed = identitylist.list_identities(_person(session))
    if given.json:
        session.json([as_dict(item) for item in listed])
        return ExitCode.OK
    session.table(
        ("SOURCE", "OUTCOME", "KEY"),
        [(item.source, item.outcome, item.fingerprint or "-") for item in listed],
    )
    return ExitCode.OK


def remember(session: Session, given: IdentityRememberParameters) -> ExitCode:
    """Keep a passphrase in the desktop's keyring."""
    done = identityremember.remember_passphrase(given.path, _person(session), consent=given.yes)
    session.note(
        f"{done.chosen.shown}: the desktop's keyring ({done.keyring}) has its passphrase, "
        f"as identity:{done.chosen.key.entry}"
    )
    _note_place(session, done.chosen)
    return ExitCode.OK


def forget(session: Session, given: IdentityForgetParameters) -> ExitCode:
    """Take passphrases out of the desktop's keyring."""
    if given.all and given.path is not None:
        raise RefusedInput(Code.USAGE, "either a key or --all", hints=("secretsmith identity forget --all",))
    gone = identityremember.forget_passphrases(given.path, _person(session), everything=given.all)
    for entry in gone:
        session.note(f"identity:{entry}: the desktop's keyring has its passphrase no more")
    if not gone:
        session.note("the desktop's keyring had no such passphrase")
    return ExitCode.OK


def unlock(session: Session, given: IdentityUnlockParameters) -> ExitCode:
    """Hold a key unlocked in the kernel's keyring."""
    done = identityunlock.unlock_key(given.path, _person(session), how_long=given.how_long)
    until = time.strftime("%H:%M:%S", time.localtime(done.until))
    session.note(f"{done.chosen.shown}: unlocked until {until}; sooner locked by: secretsmith identity lock")
    _note_place(session, done.chosen)
    return ExitCode.OK


def lock(session: Session, given: IdentityLockParameters) -> ExitCode:
    """Let go of unlocked keys."""
    count = identityunlock.lock_keys(given.path, _person(session))
    session.note(f"{count} {'key' if count == 1 else 'keys'} locked" if count else "no key was unlocked")
    return ExitCode.OK


def _person(session: Session) -> Person:
    return Person.here(session.environ, session.interaction, session.cwd)


def _note_place(session: Session, chosen: ChosenKey) -> None:
    if not chosen.declared:
        session.note(f"keys are not looked for there: SECRETSMITH_IDENTITY={chosen.shown} names it")


__all__ = ["forget", "list_identities", "lock", "remember", "unlock"]
