"""Every place that private keys are looked for in, with what was found there and what the keyrings have for it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

from secretsmith.errors import SecretsmithError
from secretsmith.identities import kernelkeys
from secretsmith.identities.desktop import DesktopKeyring, DesktopState
from secretsmith.identities.ring import NOT_NEEDED
from secretsmith.operations.identitykeys import Person
from secretsmith.operations.identityplugins import GROUP as PLUGINS
from secretsmith.record import record, replace

KERNEL = "kernel keyring"
DESKTOP = "desktop keyring"
_ROOT = "not used as root"


@record
class ListedIdentity:
    """One key, one place that gave none, one of the two keyrings, or a plugin.

    The first five are those of :class:`secretsmith.identities.ring.Tried`. ``unlocked_until`` (RFC 3339, UTC) is when the
    kernel's keyring lets go of the key; ``remembered`` whether the desktop's has its passphrase, None where that does not
    matter or only a prompt would tell.
    """

    source: str
    path: str | None
    outcome: str
    fingerprint: str | None = None
    recipient: str | None = None
    unlocked_until: str | None = None
    remembered: bool | None = None


def list_identities(person: Person) -> tuple[ListedIdentity, ...]:
    """Look at every place in order (commands are run), then at both keyrings if a key has a passphrase.

    Nothing is unlocked, asked or prompted for; a keyring that does not answer is given up after five seconds and is a line.
    """
    tried = person.ring().survey()
    entries = [item.entry for item in tried if item.entry is not None]
    kernel, held = _kernel(person, needed=bool(entries))
    desktop, state = _desktop(person, entries)
    listed = []
    for item in tried:
        found = ListedIdentity(item.source, item.path, item.outcome, item.fingerprint, item.recipient)
        if item.entry is not None:
            until, remembered = held.get(item.entry), state.get(item.entry)
            words = [item.outcome]
            words += [f"held unlocked by the kernel's keyring until {until}"] if until else []
            words += ["passphrase in the desktop's keyring"] if remembered else []
            found = replace(found, outcome="; ".join(words), unlocked_until=until, remembered=remembered)
        listed.append(found)
    return (*listed, kernel, desktop, *_plugins(person))


def _plugins(person: Person) -> Iterator[ListedIdentity]:
    from secretsmith.plugin.loader import Loader

    outcome = _ROOT if person.as_root else "asked, in a repository, when no key above opens a file"
    for name in Loader().names(PLUGINS):
        yield ListedIdentity(f"plugin {name}", None, outcome)


def _kernel(person: Person, *, needed: bool) -> tuple[ListedIdentity, dict[str, str]]:
    if person.as_root or not needed:
        return ListedIdentity(KERNEL, None, _ROOT if person.as_root else NOT_NEEDED), {}
    try:
        keys = kernelkeys.held()
    except SecretsmithError as error:
        return ListedIdentity(KERNEL, None, f"not used: {error.message}"), {}
    until = {
        key.entry: datetime.datetime.fromtimestamp(key.until, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for key in reversed(keys)
    }
    count = len(until)
    return ListedIdentity(KERNEL, None, f"{count or 'no'} {'key' if count == 1 else 'keys'} unlocked"), until


def _desktop(person: Person, entries: list[str]) -> tuple[ListedIdentity, Mapping[str, bool]]:
    if person.as_root or not entries:
        return ListedIdentity(DESKTOP, None, _ROOT if person.as_root else NOT_NEEDED), {}
    try:
        state = DesktopKeyring(person.environ, person.interaction).look(entries)
    except SecretsmithError as error:
        return ListedIdentity(DESKTOP, None, f"not used: {error.message}"), {}
    return ListedIdentity(DESKTOP, None, _described(state)), state.remembered


def _described(state: DesktopState) -> str:
    if state.locked is None:
        known = "no collection yet" if state.remembered else "what is in it only a prompt would tell"
        return f"{state.name}: {known}"
    return f"{state.name}: {'locked' if state.locked else 'unlocked'}"


__all__ = ["DESKTOP", "KERNEL", "ListedIdentity", "list_identities"]
