"""What to do about a secret of the repository that none of one's keys opens: the broken link of ``explain``, for who asks."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import SecretsmithError
from secretsmith.identities.ring import LOCKED_NO_TERMINAL, WRONG_PASSPHRASE
from secretsmith.operations.readerlinks import groups_of, reader_links, together
from secretsmith.operations.readers import SealedFile, judge_sealed, names_of
from secretsmith.operations.thishost import host_here, look_here, wrong_key
from secretsmith.policy.principals import KeyState, KeyUse
from secretsmith.project import Project

_LOCKED = {
    LOCKED_NO_TERMINAL: "run this on a terminal, which is asked for the passphrase",
    WRONG_PASSPHRASE: "try again with the right passphrase",
}


def next_steps(project: Project, sealed: SealedFile) -> tuple[str, ...]:
    """Return lines that say what is broken between ``sealed`` and the keys here, and what mends it."""
    for tried in project.ring.trace():
        if tried.fingerprint in sealed.present.keys and tried.outcome in _LOCKED:
            return (f"your key {tried.fingerprint} opens it: {_LOCKED[tried.outcome]}",)
    own = project.ring.own_keys()
    return _too_few_groups(project, sealed, own) or _changed_host(project, own) or _link(project, sealed, own)


def _too_few_groups(project: Project, sealed: SealedFile, own: Sequence[PublicKey]) -> tuple[str, ...]:
    """Say so when one's keys are in the file, and it takes more key groups than they are in: no rekey would help."""
    metadata = sealed.sops.metadata if sealed.sops is not None else None
    if metadata is None or len(metadata.groups) < 2:
        return ()
    held = groups_of(metadata, own)
    return (together(project, sealed.path, metadata, held, sealed.wanted.keys),) if held else ()


def _changed_host(project: Project, own: Sequence[PublicKey]) -> tuple[str, ...]:
    """Say so when this computer is a host of the registry and its host key, which was tried, is another one."""
    here = look_here(project)
    if here.key is None or here.key.key.fingerprint not in {key.fingerprint for key in own}:
        return ()
    host = host_here(project, here)
    return wrong_key(project, host, here) if host is not None else ()


def _link(project: Project, sealed: SealedFile, own: Sequence[PublicKey]) -> tuple[str, ...]:
    uses = [use for key in own for use in project.registry.key_owner(key.fingerprint)]
    active = sorted({use.principal for use in uses if use.state is KeyState.ACTIVE})
    if not active:
        return (*map(_useless, uses), _ask(project, sealed, "YOU"))
    # Whom a rule names already needs less.
    name = next((name for name in active if name in sealed.wanted.names), active[0])
    try:
        links = list(
            reader_links(
                project, sealed.path, project.registry.principal(name), judge_sealed(project, sealed)
            )
        )
    except SecretsmithError as error:
        return (error.message, *error.hints)
    broken = next((link for link in links if not link.ok), None)
    if broken is None or broken.fix is None:
        # By the lock, or as assumed, it is in the file, and it is not: a rekey of somebody who can settles it.
        return (
            f"the rules let you read it: {_people(project, sealed)} secretsmith rekey {quote(sealed.path)}",
        )
    if broken.step == "rule":
        return (_ask(project, sealed, name),)
    return (f"the rules let you read it: {_people(project, sealed)} {broken.fix}",)


def _useless(use: KeyUse) -> str:
    return f"your key {use.key.fingerprint} is a {use.state} key of {use.principal}, which reads nothing"


def _ask(project: Project, sealed: SealedFile, name: str) -> str:
    asked = _people(project, sealed)
    return f"to get access, {asked}: secretsmith grant {quote(sealed.path)} --to {name} --rekey"


def _people(project: Project, sealed: SealedFile) -> str:
    """Say whom to ask. Hosts are left out: nobody works there."""
    people = [name for name in names_of(project, sealed.present.keys) if name in project.registry.users]
    metadata = sealed.sops.metadata if sealed.sops is not None else None
    if metadata is not None and metadata.threshold > 1 and len(metadata.groups) > 1:
        who = f" ({', '.join(people)})" if people else ""
        return f"with {metadata.threshold} of its {len(metadata.groups)} key groups{who} at hand, run"
    return f"ask {' or '.join(people)} to run" if people else "somebody who can open it runs"


__all__ = ["next_steps"]
