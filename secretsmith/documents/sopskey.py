"""The data key of a sops document: opened by an age identity or by several groups, and sealed for recipients.

Source: sops, sops.go (GetDataKeyWithKeyServices, UpdateMasterKeysWithKeyServices), age/keysource.go.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.crypto.shamir import MAX_SHARES, combine, split
from secretsmith.crypto.valuecipher import KEY_BYTES
from secretsmith.documents.metadata import AgeEntry, KeyGroup, Metadata
from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, RefusedInput, SecretsmithError
from secretsmith.record import field, record
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.interaction import Interaction

OpenStanza = Callable[[bytes], Sensitive]
"""Opens one stanza (an armored age file, or a PGP message) or raises what :func:`decrypt_age` raises."""

# Each is a run of gpg, which may ask. Teams have dozens of keys; a hostile document has thousands.
_MAX_PGP: Final = 100
_SHOWN: Final = 8

Groups = Sequence[Sequence[str]]
"""Recipients, by key group."""


@record(slots=False)
class Recovered:
    """A document's data key, and of several groups the parts that were opened to get it, by their number."""

    data_key: Sensitive
    shares: Mapping[int, Sensitive] = field(default_factory=dict)


def new_data_key() -> Sensitive:
    """Give 32 random bytes."""
    return Sensitive(secrets.token_bytes(KEY_BYTES))


def recover(metadata: Metadata, open_age: OpenStanza, open_pgp: OpenStanza | None = None) -> Recovered:
    """Open the data key. No more groups are tried than are needed, so that nobody is asked in vain.

    Raises:
        CannotDecrypt: NO_IDENTITY naming what the document is encrypted under; what the openers raise.
        IntegrityFailure: CIPHERTEXT when the groups' parts do not fit together.
        RefusedInput: RECIPIENT_MISSING for a document without any keys.
    """
    if not any(group.age or group.services for group in metadata.groups):
        raise RefusedInput(Code.RECIPIENT_MISSING, "the document names no keys at all: nobody can open it")
    shares: dict[int, Sensitive] = {}
    failures = _open_groups(metadata, [_age_stanzas(group) for group in metadata.groups], open_age, shares)
    pgp_failures: list[SecretsmithError] | None = None
    if open_pgp is not None:
        # After the age keys of all groups: gpg may ask, or want a card.
        most = max(1, _MAX_PGP // len(metadata.groups))
        pgp_stanzas = [
            [stanza for _, stanza in islice(_pgp_entries(group), most)] for group in metadata.groups
        ]
        pgp_failures = _open_groups(metadata, pgp_stanzas, open_pgp, shares)
    if len(shares) < metadata.threshold:
        raise _not_opened(metadata, len(shares), failures, pgp_failures)
    if len(metadata.groups) == 1:
        return Recovered(_data_key(shares[0].expose()))
    return Recovered(_data_key(combine([share.expose() for share in shares.values()])), shares)


def _data_key(raw: bytes) -> Sensitive:
    if len(raw) != KEY_BYTES:
        raise IntegrityFailure(Code.CIPHERTEXT, f"the data key has {len(raw)} bytes instead of {KEY_BYTES}")
    return Sensitive(raw)


def _open_groups(
    metadata: Metadata, groups: Sequence[Sequence[bytes]], opener: OpenStanza, shares: dict[int, Sensitive]
) -> list[SecretsmithError]:
    """Add to ``shares`` what the stanzas of the groups give, as far as needed; returns what failed."""
    failures: list[SecretsmithError] = []
    for number, stanzas in enumerate(groups):
        for stanza in stanzas:
            if number in shares or len(shares) == metadata.threshold:
                break
            try:
                shares[number] = opener(stanza)
            except (CannotDecrypt, IntegrityFailure, RefusedInput) as failure:
                # A damaged stanza locks out its own reader, not the others.
                failures.append(failure)
    return failures


def _age_stanzas(group: KeyGroup) -> list[bytes]:
    return [entry.enc.encode("utf-8", "replace") for entry in group.age]


def _pgp_entries(group: KeyGroup) -> Iterator[tuple[str, bytes]]:
    """Give fingerprint and armored message of each PGP key."""
    for entry in group.foreign.get("pgp") or ():
        if isinstance(entry, Mapping) and isinstance(entry.get("enc"), str):
            yield str(entry.get("fp") or "unknown"), entry["enc"].encode("utf-8", "replace")


def _not_opened(
    metadata: Metadata,
    opened: int,
    failures: Sequence[SecretsmithError],
    pgp_failures: Sequence[SecretsmithError] | None,
) -> SecretsmithError:
    for failure in failures:
        # A key that would do, but is locked, or whose plugin is missing: that says more than "no key".
        if isinstance(failure, CannotDecrypt) and failure.code is not Code.NO_IDENTITY:
            return failure
    recipients = [entry.recipient for group in metadata.groups for entry in group.age]
    hints = []
    if len(metadata.groups) > 1:
        hints.append(
            f"{metadata.threshold} of {len(metadata.groups)} key groups are needed, {opened} could be opened"
        )
    if recipients:
        hints.append(
            f"the document is encrypted to: {', '.join(_shown(text) for text in recipients[:_SHOWN])}"
        )
    hints += _of_services(metadata, pgp_failures)
    damaged = sum(not isinstance(failure, CannotDecrypt) for failure in failures)
    if damaged:
        hints.append(f"{damaged} of its stanzas are damaged")
    only = "" if recipients else f"; it is encrypted under {_service_names(metadata.services)} only"
    return CannotDecrypt(Code.NO_IDENTITY, f"none of the identities opens this document{only}", hints=hints)


def _of_services(metadata: Metadata, pgp_failures: Sequence[SecretsmithError] | None) -> Iterator[str]:
    """Say what became of the keys that are not age's; ``pgp_failures`` is None without gpg."""
    fingerprints = [_shown(text) for group in metadata.groups for text, _ in _pgp_entries(group)]
    if fingerprints:
        yield f"and under PGP: {', '.join(fingerprints[:_SHOWN])}"
    if fingerprints and pgp_failures is None:
        yield "keys of PGP are used through gpg, which is not here: install the package gnupg"
    reasons = (text for failure in pgp_failures or () for text in (failure.message, *failure.hints))
    yield from islice(dict.fromkeys(reasons), _SHOWN)
    if others := [name for name in metadata.services if name != "pgp"]:
        yield f"and under keys that are not opened here: {_service_names(others)}"


def _service_names(services: Sequence[str]) -> str:
    return ", ".join({"pgp": "PGP", "kms": "AWS KMS"}.get(name, name) for name in services)


def _shown(text: str) -> str:
    return text[:100].encode("unicode_escape").decode("ascii")


def seal_key(share: Sensitive, recipient: str, interaction: Interaction | None = None) -> AgeEntry:
    """Encrypt the data key, or a group's part of it, to one recipient.

    Raises:
        RefusedInput: KEY codes, RECIPIENT_MIX.
        SecretsmithError: PLUGIN codes.
    """
    # Imported here: reading a document does not need what makes age files.
    from secretsmith.crypto.agefile import encrypt_age

    text = recipient.strip()
    return AgeEntry(text, encrypt_age(share, [text], armor=True, interaction=interaction).decode("ascii"))


def seal_groups(
    data_key: Sensitive,
    groups: Groups,
    threshold: int | None = None,
    interaction: Interaction | None = None,
) -> tuple[tuple[KeyGroup, ...], int]:
    """Encrypt a data key to all ``groups``; gives the groups and the threshold to be written.

    Without ``threshold`` all of several groups are needed.

    Raises:
        RefusedInput: RECIPIENT_MISSING for a group without recipients, USAGE for a threshold that does not
            fit, and as :func:`seal_key`.
    """
    wanted = [distinct(group) for group in groups]
    if not wanted or not all(wanted):
        raise RefusedInput(
            Code.RECIPIENT_MISSING,
            "a document without recipients could be opened by nobody"
            if len(wanted) < 2
            else "a key group has no recipients",
        )
    needed = checked_threshold(len(wanted), threshold)
    shares = group_shares(data_key, len(wanted), needed)
    made = tuple(
        KeyGroup(tuple(seal_key(share, recipient, interaction) for recipient in group))
        for share, group in zip(shares, wanted, strict=True)
    )
    return made, needed if len(wanted) > 1 else 0


def checked_threshold(groups: int, threshold: int | None) -> int:
    """Give how many of so many groups are needed. Raises ``RefusedInput``: USAGE."""
    needed = threshold or groups
    if groups > 1 and not 2 <= needed <= groups <= MAX_SHARES:
        raise RefusedInput(
            Code.USAGE,
            f"a threshold of {needed} does not fit {groups} key groups: 2 to {min(groups, MAX_SHARES)}",
        )
    return needed


def group_shares(data_key: Sensitive, groups: int, threshold: int) -> list[Sensitive]:
    """Give each group's part; one group gets the key itself."""
    if groups == 1:
        return [data_key]
    return [Sensitive(share) for share in split(data_key.expose(), groups, threshold)]


def share_of_group(recovered: Recovered, number: int) -> Sensitive:
    """Give group ``number``'s part, if need be worked out from those of the others.

    The parts lie on polynomials; moving the origin to the place wanted makes :func:`combine` give the value
    there instead of the secret, which is the value at 0.
    """
    if not recovered.shares:
        return recovered.data_key
    if number in recovered.shares:
        return recovered.shares[number]
    place = number + 1
    moved = [share.expose()[:-1] + bytes([share.expose()[-1] ^ place]) for share in recovered.shares.values()]
    return Sensitive(combine(moved) + bytes([place]))


def distinct(recipients: Sequence[str]) -> list[str]:
    """Drop repeated recipients, whatever their comments. Raises ``RefusedInput``: KEY codes."""
    return list({parse_public_key(text).text: text.strip() for text in reversed(recipients)}.values())[::-1]


__all__ = [
    "Groups",
    "OpenStanza",
    "Recovered",
    "checked_threshold",
    "distinct",
    "group_shares",
    "new_data_key",
    "recover",
    "seal_groups",
    "seal_key",
    "share_of_group",
]
