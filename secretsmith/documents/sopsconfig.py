"""``.sops.yaml``: which readers and which rules a new document gets, as sops reads it.

The first rule whose ``path_regex`` is found in the path (from the configuration's folder on) is taken, or that has none.
Unknown keys are passed over: people keep lists of keys with anchors in it. Only the rule that is taken has to make sense.
Source: sops 3.11, config/config.go (parseCreationRuleForFile, getKeyGroupsFromCreationRule, extractMasterKeys).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from secretsmith.documents.codec import codec_of
from secretsmith.documents.format import Format
from secretsmith.documents.metadata import RULES
from secretsmith.documents.node import List, Map, Node, document_tree
from secretsmith.documents.tree import LeafKind
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import field, record
from secretsmith.regex.match import LinearRegex, compile_regex

CONFIG_NAME: Final = ".sops.yaml"
MAX_CONFIG_BYTES: Final = 1024 * 1024

_MERGE: Final = "<<"
_MAX_DEPTH: Final = 20
_MAX_KEYS: Final = 10_000
# About a second of searching; three hundred rules of forty characters on a path of sixty take half of it.
_MAX_STEPS: Final = 1_500_000
# ``export sops`` writes one expression for all paths with the same readers: a few hundred of them are to be read here, too.
_MAX_PATTERN: Final = 20_000
# go-yaml takes the words of YAML 1.1 where a truth value is wanted (decode.go).
_YES: Final = frozenset({"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})
_NO: Final = frozenset({"n", "N", "no", "No", "NO", "off", "Off", "OFF"})
# The fields of a rule, and of a key group, that name keys of other services, and what people call those.
_RULE_SERVICES: Final = {
    "pgp": "PGP",
    "kms": "AWS KMS",
    "gcp_kms": "GCP KMS",
    "hckms": "Huawei KMS",
    "azure_keyvault": "Azure Key Vault",
    "hc_vault_transit_uri": "HashiCorp Vault",
}
_GROUP_SERVICES: Final = {
    **{name: label for name, label in _RULE_SERVICES.items() if name != "hc_vault_transit_uri"},
    "hc_vault": "HashiCorp Vault",
}


@record
class CreationRule:
    """What one rule says of a new file.

    ``number`` is its place in the list, from 1. ``groups`` are age recipients by key group, each once; one group when the
    rule has none. ``services`` are the keys that are not age's, as people read them ("PGP FBC7B9E2…").
    """

    number: int
    groups: tuple[tuple[str, ...], ...]
    services: tuple[str, ...] = ()
    shamir_threshold: int | None = None
    selection: tuple[str, str] | None = None
    mac_only_encrypted: bool = False


@record
class SopsConfig:
    """The creation rules of one configuration, as plain data; None when it has none, and counts as not there."""

    rules: tuple[Mapping[str, Any], ...] | None = field(repr=False)

    def rule_for(self, path: str) -> CreationRule | None:
        """Give the first rule for ``path``: with ``/``, from the configuration's folder on, absolute when outside.

        Raises:
            RefusedInput: RULES for a rule on the way that cannot be understood, or might be understood otherwise by sops.
        """
        steps = 0
        for number, raw in enumerate(self.rules or (), start=1):
            pattern = _text(raw, "path_regex", number)
            if not pattern:
                return _rule(raw, number)
            regex = _compiled(pattern, number)
            steps += regex.size * (len(path) + 1)
            if steps > _MAX_STEPS:
                raise _refused(number, "there are too many path_regex to try on a path of this length")
            if regex.search(path):
                return _rule(raw, number)
        return None


def parse_config(source: bytes) -> SopsConfig:
    """Read a configuration.

    Raises:
        RefusedInput: RULES when ``creation_rules`` is no list of mappings; TOO_BIG; what reading YAML raises.
        Conflict: CONFLICT.
    """
    if len(source) > MAX_CONFIG_BYTES:
        raise RefusedInput(Code.TOO_BIG, f"larger than {MAX_CONFIG_BYTES >> 20} MiB")
    if _is_blank(source):
        return SopsConfig(None)
    root = _plain(document_tree(codec_of(Format.YAML).read(source)))
    found = root.get("creation_rules") if isinstance(root, dict) else None
    if found is None:
        return SopsConfig(None)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise RefusedInput(Code.RULES, "creation_rules is no list of rules")
    return SopsConfig(tuple(found))


def _is_blank(source: bytes) -> bool:
    lines = (line.strip() for line in source.removeprefix(b"\xef\xbb\xbf").splitlines())
    return all(not line or line.startswith(b"#") or line == b"---" for line in lines)


def _plain(node: Node) -> Any:
    """Give a tree as dicts, lists, texts, ints and bools, merge keys carried out."""
    if isinstance(node, Map):
        return _merged([(entry[0], _plain(entry[1])) for entry in node.entries if isinstance(entry, tuple)])
    if isinstance(node, List):
        return [_plain(item) for item in node.items if isinstance(item, Node)]
    text = node.plain.decode("utf-8", "replace")
    match node.kind:
        case LeafKind.NULL:
            return None
        case LeafKind.BOOLEAN:
            return text == "True"
        case LeafKind.INTEGER:
            return int(text)
        case _:
            return text


def _merged(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {name: value for name, value in entries if name != _MERGE}
    for name, value in entries:
        if name == _MERGE:
            # What stands in the mapping itself wins, and of several sources the first (YAML merge key, 2005).
            for source in value if isinstance(value, list) else [value]:
                found = {**source, **found} if isinstance(source, dict) else found
    return found


def _compiled(pattern: str, number: int) -> LinearRegex:
    try:
        return compile_regex(pattern, longest=_MAX_PATTERN, most=_MAX_PATTERN)
    except RefusedInput as error:
        raise _refused(
            number,
            f"path_regex: {error.message}",
            "write it with what Go and Python both know: no lookahead, no backreference, no [[:alpha:]]",
        ) from None


def _rule(raw: Mapping[str, Any], number: int) -> CreationRule:
    services: list[str] = []
    listed = raw.get("key_groups")
    if listed:
        # They win over the keys that the rule itself names.
        groups = tuple(_group(each, number, services) for each in _listed(listed, "key_groups", number))
    else:
        groups = (_distinct(_keys(raw.get("age"), "age", number)),)
        for name, label in _RULE_SERVICES.items():
            services += [f"{label} {_shown(key)}" for key in _keys(raw.get(name), name, number)]
    threshold = raw.get("shamir_threshold") or None
    if threshold is not None and (not isinstance(threshold, int) or isinstance(threshold, bool)):
        raise _refused(number, "shamir_threshold is no number")
    return CreationRule(
        number,
        groups,
        tuple(dict.fromkeys(services)),
        threshold,
        _selection(raw, number),
        _truth(raw.get("mac_only_encrypted"), number),
    )


def _selection(raw: Mapping[str, Any], number: int) -> tuple[str, str] | None:
    rules = [(name, text) for name in RULES if (text := _text(raw, name, number))]
    if len(rules) > 1:
        raise _refused(number, f"{rules[0][0]} and {rules[1][0]}: only one of them can hold")
    return rules[0] if rules else None


def _group(raw: Any, number: int, services: list[str]) -> tuple[str, ...]:
    found = list(_group_keys(raw, number, services, _MAX_DEPTH))
    if len(found) > _MAX_KEYS:
        raise _refused(number, "a key group has too many keys")
    return _distinct(found)


def _group_keys(raw: Any, number: int, services: list[str], depth: int) -> Iterator[str]:
    if not isinstance(raw, dict):
        raise _refused(number, "an item of key_groups is no mapping")
    if not depth:
        raise _refused(number, "merge is nested too deeply")
    for each in _listed(raw.get("merge") or [], "merge", number):
        yield from _group_keys(each, number, services, depth - 1)
    for text in _listed(raw.get("age") or [], "age", number):
        yield from _keys(text, "age", number)
    for name, label in _GROUP_SERVICES.items():
        for key in _listed(raw.get(name) or [], name, number):
            services.append(f"{label} {_shown(_named(key))}")


def _named(key: Any) -> str:
    """Name a key of another service: a text, or a mapping whose values say which."""
    return "/".join(str(value) for value in key.values() if value) if isinstance(key, dict) else str(key)


def _keys(value: Any, name: str, number: int) -> list[str]:
    """Give keys that stand in one text with commas, or in a list of such texts."""
    if value is None:
        return []
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise _refused(number, f"{name} is neither a text nor a list of texts")
    return [key.strip() for text in texts for key in text.split(",") if key.strip()]


def _distinct(keys: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(keys))


def _listed(value: Any, name: str, number: int) -> list[Any]:
    if not isinstance(value, list):
        raise _refused(number, f"{name} is no list")
    return value


def _text(raw: Mapping[str, Any], name: str, number: int) -> str:
    value = raw.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise _refused(number, f"{name} is no text")
    return value or ""


def _truth(value: Any, number: int) -> bool:
    if value is None or value is True or value is False:
        return bool(value)
    if isinstance(value, str) and value in _YES | _NO:
        return value in _YES
    raise _refused(number, "mac_only_encrypted is neither true nor false")


def _refused(number: int, reason: str, *hints: str) -> RefusedInput:
    return RefusedInput(Code.RULES, f"creation rule {number}: {reason}", hints=hints)


def _shown(text: str) -> str:
    return text[:100].encode("unicode_escape").decode("ascii")


__all__ = ["CONFIG_NAME", "MAX_CONFIG_BYTES", "CreationRule", "SopsConfig", "parse_config"]
