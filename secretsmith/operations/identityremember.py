"""Keep passphrases of private keys in the desktop's keyring, and take them out."""

from __future__ import annotations

from secretsmith.errors import CannotDecrypt, Code, Interrupted
from secretsmith.identities.desktop import DesktopKeyring
from secretsmith.identities.locked import unlock
from secretsmith.operations.identitykeys import ChosenKey, Person, ask_passphrase, choose_key, refuse_root
from secretsmith.record import record

_ROOT = "the desktop's keyring belongs to the person who sits there"


@record
class Remembered:
    """The key, and the name of the keyring that has its passphrase now."""

    chosen: ChosenKey
    keyring: str


def remember_passphrase(path: str | None, person: Person, *, consent: bool) -> Remembered:
    """Ask for the passphrase of a key, try it, and keep it in the desktop's keyring by the key's fingerprint.

    ``consent``: the person agreed already; otherwise it is asked for, before the passphrase.

    Raises:
        RefusedInput: ACCESS as root; NOT_INTERACTIVE without a terminal; everything of :func:`choose_key`.
        CannotDecrypt: PASSPHRASE, it is wrong; nothing was stored.
        Interrupted: no consent.
        SecretsmithError: KEYRING, there is none, or one that keeps passphrases in the open.
    """
    refuse_root(person, _ROOT)
    chosen = choose_key(path, person, "secretsmith identity remember")
    desktop = DesktopKeyring(person.environ, person.interaction)
    name = desktop.name()
    if not consent and not person.interaction.confirm(
        f"every program you run can read what is in the desktop's keyring ({name}) while it is unlocked; "
        f"keep the passphrase of {chosen.shown} there?",
        flag="--yes",
    ):
        raise Interrupted(Code.INTERRUPTED, "stopped: nothing was stored")
    passphrase = ask_passphrase(chosen, person)
    try:
        unlock(chosen.key, passphrase)
    except CannotDecrypt as error:
        raise CannotDecrypt(
            error.code, f"wrong passphrase for {chosen.shown}: nothing was stored", hints=error.hints
        ) from None
    desktop.remember(chosen.key.entry, passphrase)
    return Remembered(chosen, name)


def forget_passphrases(path: str | None, person: Person, *, everything: bool) -> tuple[str, ...]:
    """Take the passphrase of one key, or of all, out of the desktop's keyring; return the entries that were there.

    Raises:
        RefusedInput: ACCESS as root; USAGE, both a path and everything; everything of :func:`choose_key`.
        SecretsmithError: KEYRING.
    """
    refuse_root(person, _ROOT)
    desktop = DesktopKeyring(person.environ, person.interaction)
    if everything:
        entries = {key.entry for _, key in person.ring().locked_keys()}
        return desktop.forget(sorted(entries), everything=True)
    chosen = choose_key(path, person, "secretsmith identity forget")
    return desktop.forget([chosen.key.entry])


__all__ = ["Remembered", "forget_passphrases", "remember_passphrase"]
