"""Who reads a sops document: readers added in the metadata block alone, readers removed with a new data key.

Source: sops, cmd/sops/rotate.go, cmd/sops/subcommand/updatekeys, sops.go (UpdateMasterKeysWithKeyServices).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.documents.format import Format
from secretsmith.documents.metadata import AgeEntry, KeyGroup, Metadata
from secretsmith.documents.sopsfile import SopsFile, read_sops, require_writable
from secretsmith.documents.sopskey import (
    Groups,
    Recovered,
    checked_threshold,
    distinct,
    new_data_key,
    seal_groups,
    seal_key,
    share_of_group,
)
from secretsmith.documents.sopsopen import OpenDocument, open_values
from secretsmith.documents.sopswrite import Clock, checked, metadata_edits, plain_shape, resealed, stamped
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.record import record, replace
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.interaction import Interaction


@record
class Change:
    """What a rewrap does to the recipients: by group, and whether the groups themselves change."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    regrouped: bool

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.regrouped)

    @property
    def needs_new_key(self) -> bool:
        """Somebody who could open the document alone, or with fewer others, shall not any more."""
        return bool(self.removed or self.regrouped)


def change_of(metadata: Metadata, groups: Groups, threshold: int | None = None) -> Change:
    """Compare a document's recipients with those wanted; order and comments do not count.

    Raises:
        RefusedInput: KEY codes, USAGE for a threshold that does not fit.
    """
    wanted = [_keys(group) for group in groups]
    present = [_keys([entry.recipient for entry in group.age]) for group in metadata.groups]
    needed = (
        1
        if len(wanted) < 2
        else checked_threshold(len(wanted), threshold or metadata.shamir_threshold or None)
    )
    if len(wanted) != len(present) or needed != metadata.threshold:
        before = {key: text for group in present for key, text in group.items()}
        after = {key: text for group in wanted for key, text in group.items()}
        return Change(_missing(after, before), _missing(before, after), regrouped=True)
    added = [text for new, old in zip(wanted, present, strict=True) for text in _missing(new, old)]
    removed = [text for new, old in zip(wanted, present, strict=True) for text in _missing(old, new)]
    return Change(tuple(added), tuple(removed), regrouped=False)


def _keys(recipients: Sequence[str]) -> dict[str, str]:
    return {_key(text): text for text in recipients}


def _key(recipient: str) -> str:
    """Give a recipient without its comment; one that is no key is itself."""
    try:
        return parse_public_key(recipient).text
    except RefusedInput:
        return recipient.strip()


def _missing(left: dict[str, str], right: dict[str, str]) -> tuple[str, ...]:
    return tuple(text for key, text in left.items() if key not in right)


def rewrap(
    file: SopsFile,
    recovered: Recovered,
    groups: Groups,
    *,
    threshold: int | None = None,
    keep_data_key: bool = False,
    dropping: bool = False,
    clock: Clock = time.time,
    interaction: Interaction | None = None,
) -> bytes:
    """Give the document to exactly the recipients of ``groups``.

    Nothing to change gives the same bytes. Readers that are only added change the metadata block: no value
    is opened, the others' stanzas stay. Otherwise there is a new data key, and every sealed text, the MAC and
    the time change, and nothing else; unless ``keep_data_key``: then a reader who was removed, and kept a copy
    of his stanza, still opens whatever is written later. ``dropping``: ``file`` comes from
    :func:`without_services`, so that there is something to change in any case, as if readers were removed.

    Raises:
        RefusedInput: RECIPIENT_MISSING for a group that would be empty; UNSUPPORTED when keys that are not
            age's would have to be renewed; VERSION; KEY codes; USAGE.
        IntegrityFailure: MAC, CIPHERTEXT when the values have to be opened.
    """
    require_writable(file)
    change = change_of(file.metadata, groups, threshold)
    if not change and not dropping:
        return file.document.source
    if (change.needs_new_key or dropping) and not keep_data_key:
        return rotate(
            open_values(file, recovered),
            groups=groups,
            threshold=threshold,
            clock=clock,
            interaction=interaction,
        )
    root = file.document.container(())
    if file.format is Format.YAML and root is not None and root.style == "flow":
        # There is no place for lines in a document that is in brackets as a whole.
        file = plain_shape(file)
    if change.regrouped:
        made, needed = _regrouped(file.metadata, recovered.data_key, groups, threshold, interaction)
        metadata = replace(file.metadata, groups=made, shamir_threshold=needed)
    else:
        metadata = replace(file.metadata, groups=_adapted(file.metadata, recovered, groups, interaction))
    out = file.document.splice(metadata_edits(file, metadata))
    _require_metadata(file, out, metadata)
    return out


def without_services(file: SopsFile) -> SopsFile:
    """Give the document without the entries of key services other than age, to be rewrapped so."""
    groups = tuple(
        replace(group, foreign={name: entries for name, entries in group.foreign.items() if not entries})
        for group in file.metadata.groups
    )
    return replace(file, metadata=replace(file.metadata, groups=groups))


def _require_metadata(file: SopsFile, out: bytes, metadata: Metadata) -> None:
    """Read the block back; the values' bytes were not touched."""
    if _meant(read_sops(file.format, out).metadata) != _meant(metadata):
        raise SecretsmithError(
            Code.ERROR, "the changed metadata does not read back as it was meant, so it is not written"
        )


def _meant(metadata: Metadata) -> tuple[object, ...]:
    groups = [(group.age, group.services) for group in metadata.groups]
    return groups, metadata.threshold, metadata.mac, metadata.lastmodified, metadata.selection


def _adapted(
    metadata: Metadata, recovered: Recovered, groups: Groups, interaction: Interaction | None
) -> tuple[KeyGroup, ...]:
    """Keep the stanzas of recipients that stay, drop the others, and make those of the added ones."""
    made = []
    for number, (group, wanted) in enumerate(zip(metadata.groups, groups, strict=True)):
        keys = _keys(distinct(wanted))
        kept = [entry for entry in group.age if _key(entry.recipient) in keys]
        present = {_key(entry.recipient) for entry in kept}
        new: list[AgeEntry] = []
        for key, text in keys.items():
            if key not in present:
                entry = seal_key(share_of_group(recovered, number), text, interaction)
                # Later versions of sops write the keys of an entry in another order.
                new.append(replace(entry, order=group.age[0].order if group.age else ()))
        if not kept and not new and not group.services:
            raise RefusedInput(
                Code.RECIPIENT_MISSING, "a document without recipients could be opened by nobody"
            )
        made.append(replace(group, age=(*kept, *new)))
    return tuple(made)


def _regrouped(
    metadata: Metadata,
    data_key: Sensitive,
    groups: Groups,
    threshold: int | None,
    interaction: Interaction | None,
) -> tuple[tuple[KeyGroup, ...], int]:
    if metadata.services:
        raise RefusedInput(
            Code.UNSUPPORTED,
            f"the document is also encrypted under {', '.join(metadata.services)}, for which nothing is written here",
            hints=(
                "sops rotate --in-place FILE, by somebody who can use that key; or drop it with: sops rotate",
            ),
        )
    return seal_groups(data_key, groups, threshold or metadata.shamir_threshold or None, interaction)


def rotate(
    opened: OpenDocument,
    *,
    groups: Groups | None = None,
    threshold: int | None = None,
    clock: Clock = time.time,
    interaction: Interaction | None = None,
) -> bytes:
    """Give the document a new data key: every sealed text, the stanzas, MAC and time change, nothing else.

    ``groups`` default to the recipients the document has.

    Raises:
        RefusedInput: as :func:`rewrap`.
    """
    require_writable(opened.file)
    file = plain_shape(opened.file)
    if file is not opened.file:
        opened = open_values(file, opened.recovered)
    if groups is None:
        groups = [[entry.recipient for entry in group.age] for group in file.metadata.groups]
    key = new_data_key()
    made, needed = _regrouped(file.metadata, key, groups, threshold, interaction)
    if len(made) == len(file.metadata.groups):
        # The order of keys and the empty lists of older versions stay.
        made = tuple(replace(old, age=new.age) for old, new in zip(file.metadata.groups, made, strict=True))
    metadata = stamped(file, opened.values, key, clock)
    metadata = replace(metadata, groups=made, shamir_threshold=needed)
    out = file.document.splice([*resealed(opened, key), *metadata_edits(file, metadata)])
    return checked(file.format, out, Recovered(key), opened.values)


__all__ = ["Change", "change_of", "rewrap", "rotate", "without_services"]
