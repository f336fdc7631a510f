"""The metadata block of a sops document, read and written.

What is not understood is kept as it came: unknown keys, the entries of key services other than age, empty
lists of older versions, the order of keys. A change of one thing then changes one thing.
Source: sops, stores/stores.go (Metadata, ToInternal), stores/metadata.go; age/keysource.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from secretsmith.documents.timetext import parse_rfc3339, whole_seconds
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import field, record, replace

FOREIGN: Final = ("kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp")
"""The key services of sops besides age."""

RULES: Final = (
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
)
"""The rules that say which values are encrypted; a document has at most one."""

# The order in which sops 3.11 writes; from 3.13 it is alphabetical.
_ORDER: Final = (
    "shamir_threshold",
    "key_groups",
    *("kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "age"),
    *("lastmodified", "mac", "pgp"),
    *RULES,
    *("mac_only_encrypted", "version"),
)
_GROUP_ORDER: Final = ("pgp", "kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "age")
_ENTRY_ORDER: Final = ("recipient", "enc")
_NUMBER = re.compile(r"([0-9]{1,3})(?:\.0+)?")
_MAX_GROUPS: Final = 255


@record
class AgeEntry:
    """The data key, or a group's part of it, for one recipient: ``enc`` is an armored age file.

    ``recipient`` is what the document says; only ``enc`` decides who reads.
    """

    recipient: str
    enc: str = field(repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    order: tuple[str, ...] = field(default=(), repr=False, compare=False)


@record
class KeyGroup:
    """Recipients each of whom opens the group's part. ``foreign``: the other entries, untouched."""

    age: tuple[AgeEntry, ...] = ()
    foreign: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def services(self) -> tuple[str, ...]:
        """The key services besides age that can open this group, as :data:`FOREIGN` names them."""
        return tuple(name for name, entries in self.foreign.items() if entries)


@record
class Metadata:
    """What the block says. Times and the MAC are the texts of the block; ``extra`` is all the rest of it."""

    groups: tuple[KeyGroup, ...]
    lastmodified: str
    mac: str
    shamir_threshold: int = 0
    selection: tuple[str, str] | None = None
    mac_only_encrypted: bool = False
    version: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def threshold(self) -> int:
        """How many groups are needed: 1 for one group, all of several when the block does not say."""
        return 1 if len(self.groups) < 2 else self.shamir_threshold or len(self.groups)

    @property
    def mac_aad(self) -> bytes:
        """The additional data of the MAC: the time as sops writes it again, in whole seconds, no colon."""
        return whole_seconds(_time(self.lastmodified)).encode("ascii")

    @property
    def services(self) -> tuple[str, ...]:
        """The key services besides age of all groups, each once."""
        return tuple(dict.fromkeys(name for group in self.groups for name in group.services))


def parse_metadata(block: Mapping[str, Any]) -> Metadata:
    """Read the block, as nested data; numbers and truth values may be text, as in dotenv and ini.

    A document without any keys is read: it has no groups.

    Raises:
        RefusedInput: RULES for more than one selection rule, FORMAT for all else that sops could not read.
    """
    groups, used = _groups(block)
    rules = [(name, _text(block, name)) for name in RULES if block.get(name)]
    if len(rules) > 1:
        raise RefusedInput(Code.RULES, f"the document has two selection rules: {rules[0][0]}, {rules[1][0]}")
    found = Metadata(
        groups,
        lastmodified=_text(block, "lastmodified"),
        mac=_text(block, "mac"),
        shamir_threshold=_number(block.get("shamir_threshold")),
        selection=rules[0] if rules else None,
        mac_only_encrypted=_truth(block.get("mac_only_encrypted")),
        version=str(block.get("version") or ""),
        order=tuple(block),
    )
    _time(found.lastmodified)
    if len(groups) > 1 and not 2 <= found.threshold <= len(groups):
        raise _refused("shamir_threshold does not fit the number of key_groups")
    known = {*used, "lastmodified", "mac", "version"}
    known |= {name for name in (*RULES, "shamir_threshold", "mac_only_encrypted") if block.get(name)}
    return replace(found, extra={name: value for name, value in block.items() if name not in known})


def to_mapping(metadata: Metadata) -> dict[str, Any]:
    """Give the block as nested data: in the order it was read in, else in that of sops 3.11."""
    found: dict[str, Any] = dict(metadata.extra)
    if len(metadata.groups) == 1:
        group = metadata.groups[0]
        found |= group.foreign
        if group.age:
            found["age"] = [_entry_mapping(entry) for entry in group.age]
    elif metadata.groups:
        found["key_groups"] = [_group_mapping(group) for group in metadata.groups]
    if metadata.shamir_threshold:
        found["shamir_threshold"] = metadata.shamir_threshold
    found["lastmodified"] = metadata.lastmodified
    found["mac"] = metadata.mac
    if metadata.selection is not None:
        found[metadata.selection[0]] = metadata.selection[1]
    if metadata.mac_only_encrypted:
        found["mac_only_encrypted"] = True
    if metadata.version or "version" in metadata.order:
        found["version"] = metadata.version
    return _arranged(found, metadata.order, _ORDER)


def _groups(block: Mapping[str, Any]) -> tuple[tuple[KeyGroup, ...], tuple[str, ...]]:
    """Give the groups, and the keys of the block that they were read from."""
    flat = _group({name: block[name] for name in block if name == "age" or name in FOREIGN})
    if flat.age or flat.services:
        # sops passes over key_groups then, and so they stay where they are.
        return (flat,), ("age", *FOREIGN)
    listed = block.get("key_groups") or []
    if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
        raise _refused("key_groups is no list of groups")
    if len(listed) > _MAX_GROUPS:
        raise _refused(f"more than {_MAX_GROUPS} key_groups")
    return tuple(_group(each) for each in listed), ("key_groups",) if listed else ()


def _group(raw: Mapping[str, Any]) -> KeyGroup:
    for name in FOREIGN:
        if not isinstance(raw.get(name) or [], list):
            raise _refused(f"{name} is no list")
    entries = raw.get("age") or []
    if not isinstance(entries, list):
        raise _refused("age is no list")
    foreign = {name: value for name, value in raw.items() if name != "age"}
    return KeyGroup(tuple(_entry(entry) for entry in entries), foreign, tuple(raw))


def _entry(raw: Any) -> AgeEntry:
    if not isinstance(raw, Mapping):
        raise _refused("an entry of age is no mapping")
    extra = {name: value for name, value in raw.items() if name not in _ENTRY_ORDER}
    return AgeEntry(_text(raw, "recipient").strip(), _text(raw, "enc"), extra, tuple(raw))


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _refused(f"{name} is no text")
    return value


def _time(text: str) -> str:
    found = parse_rfc3339(text)
    if found is None:
        raise _refused("lastmodified is missing or no RFC 3339 time")
    return found


def _number(value: Any) -> int:
    found = None if isinstance(value, bool) else _NUMBER.fullmatch("0" if value is None else str(value))
    if found is None:
        raise _refused("shamir_threshold is no number")
    return int(found[1])


def _truth(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    if value not in ("true", "false", ""):
        raise _refused("mac_only_encrypted is neither true nor false")
    return bool(value == "true")


def _refused(reason: str) -> RefusedInput:
    return RefusedInput(Code.FORMAT, f"the sops metadata cannot be read: {reason}")


def _group_mapping(group: KeyGroup) -> dict[str, Any]:
    # sops always writes these two.
    found = {"hc_vault": [], **group.foreign} if not group.order else dict(group.foreign)
    if group.age or not group.order or "age" in group.order:
        found["age"] = [_entry_mapping(entry) for entry in group.age]
    return _arranged(found, group.order, _GROUP_ORDER)


def _entry_mapping(entry: AgeEntry) -> dict[str, Any]:
    return _arranged(
        {**entry.extra, "recipient": entry.recipient, "enc": entry.enc}, entry.order, _ENTRY_ORDER
    )


def _arranged(found: Mapping[str, Any], order: Iterable[str], usual: tuple[str, ...]) -> dict[str, Any]:
    """Give ``found`` in ``order``; what is new to it goes where it usually stands, unknown keys last.

    An order that is the alphabet's stays that.
    """
    names = [name for name in order if name in found]
    if names == sorted(names) != [name for name in usual if name in names]:
        return {name: found[name] for name in sorted(found)}
    for name in (*usual, *found):
        if name in found and name not in names:
            before = usual[: usual.index(name)] if name in usual else usual
            places = [names.index(other) + 1 for other in before if other in names]
            names.insert(max(places, default=0) if name in usual else len(names), name)
    return {name: found[name] for name in names}


__all__ = ["FOREIGN", "RULES", "AgeEntry", "KeyGroup", "Metadata", "parse_metadata", "to_mapping"]
