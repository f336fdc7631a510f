"""Hold a private key unlocked in the kernel's keyring for a while, and let go of it."""

from __future__ import annotations

import re

from secretsmith.errors import CannotDecrypt, Code, RefusedInput, SecretsmithError
from secretsmith.identities import kernelkeys
from secretsmith.identities.desktop import DesktopKeyring
from secretsmith.operations.identitykeys import ChosenKey, Person, ask_passphrase, choose_key, refuse_root
from secretsmith.record import record
from secretsmith.sensitive import Sensitive

_TIME = re.compile(r"([1-9][0-9]{0,5})([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@record
class Unlocked:
    """The key, and when it is locked again (seconds since 1970)."""

    chosen: ChosenKey
    until: int


def unlock_key(path: str | None, person: Person, *, how_long: str) -> Unlocked:
    """Unlock a key with the passphrase that the desktop's keyring has, or that is asked for, and hold it for ``how_long``.

    Raises:
        RefusedInput: ACCESS as root; USAGE, a malformed time; everything of :func:`choose_key`.
        CannotDecrypt: PASSPHRASE, it is wrong.
        SecretsmithError: UNSUPPORTED, this kernel or container has no keyring for us.
    """
    refuse_root(
        person, "every program that runs as root could take the unlocked key, and that is the whole machine"
    )
    seconds = _seconds(how_long)
    kernelkeys.held()  # before anybody types a passphrase for nothing
    chosen = choose_key(path, person, "secretsmith identity unlock")
    material = _remembered(chosen, person) or _asked(chosen, person)
    return Unlocked(chosen, kernelkeys.hold(chosen.key.entry, material, seconds).until)


def lock_keys(path: str | None, person: Person) -> int:
    """Let go of the unlocked key of a file, or of all; return how many there were.

    Raises:
        RefusedInput, NotFound: as :func:`choose_key`.
        SecretsmithError: UNSUPPORTED.
    """
    if path is None:
        return kernelkeys.drop()
    return kernelkeys.drop(choose_key(path, person, "secretsmith identity lock").key.entry)


def _seconds(how_long: str) -> int:
    match = _TIME.fullmatch(how_long)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= kernelkeys.MAX_SECONDS:
        raise RefusedInput(
            Code.USAGE,
            f"--for: not a time of up to {kernelkeys.MAX_SECONDS // 3600}h: {how_long}",
            hints=("secretsmith identity unlock --for 15m",),
        )
    return seconds


def _remembered(chosen: ChosenKey, person: Person) -> Sensitive | None:
    """Return what the passphrase in the desktop's keyring opens; a keyring that does not help is no error here."""
    try:
        passphrase = DesktopKeyring(person.environ, person.interaction).passphrase(chosen.key.entry)
        return None if passphrase is None else chosen.key.material(passphrase)
    except CannotDecrypt:
        person.interaction.notice(f"the desktop's keyring holds a wrong passphrase for {chosen.shown}")
    except SecretsmithError as error:
        if error.code is not Code.KEYRING:
            raise error.at(chosen.shown) from None
    return None


def _asked(chosen: ChosenKey, person: Person) -> Sensitive:
    try:
        return chosen.key.material(ask_passphrase(chosen, person))
    except CannotDecrypt as error:
        raise CannotDecrypt(error.code, f"wrong passphrase for {chosen.shown}", hints=error.hints) from None


__all__ = ["Unlocked", "lock_keys", "unlock_key"]
