"""What sops's own files hold, computed with the parts of secretsmith alone: no codec, no engine.

The documents are read by ruamel, json and configparser, so that the parts are judged by other people's readers.
"""

from __future__ import annotations

import configparser
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from secretsmith.crypto.agefile import decrypt_age
from secretsmith.crypto.agesecret import AgeSecret, parse_age_identities
from secretsmith.crypto.identity import AgeIdentity, Identity, SshIdentity
from secretsmith.crypto.mac import DocumentMac
from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.crypto.shamir import combine
from secretsmith.crypto.valuecipher import looks_sealed, open_sealed, parse_sealed
from secretsmith.documents.flatten import unflatten
from secretsmith.documents.metadata import KeyGroup, Metadata, parse_metadata
from secretsmith.documents.scalar import Value, canonical, resolve_json, resolve_yaml
from secretsmith.documents.selection import DEFAULT, Selection
from secretsmith.documents.tree import LeafKind, TreePath
from secretsmith.errors import SecretsmithError
from secretsmith.sensitive import Sensitive

ROOT = Path(__file__).resolve().parent.parent.parent
VECTORS = ROOT / "tests" / "vectors" / "sops"
KEYS = ROOT / "testkeys" / "sops-vectors"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "manifest.json").read_text())["cases"]
READABLE = [case for case in CASES if case.get("expect_exit") == 0]


class Item(NamedTuple):
    """A scalar of a file: where it is, and what it is in the text."""

    path: TreePath
    value: Value

    @property
    def sealed(self) -> bool:
        return looks_sealed(self.text)

    @property
    def text(self) -> str:
        return self.value[1].decode("utf-8", "replace")

    @property
    def aad(self) -> bytes:
        return "".join(f"{key}:" for key in self.path if isinstance(key, str)).encode()


class _Number(str):
    """The text of a JSON number."""


@dataclass
class Read:
    """A file taken apart."""

    items: list[Item]
    block: dict[str, Any]

    @property
    def metadata(self) -> Metadata:
        return parse_metadata(self.block)

    @property
    def selection(self) -> Selection:
        rule = self.metadata.selection
        return DEFAULT if rule is None else Selection(*rule)


def read(case: dict[str, Any], name: str = "") -> Read:
    """Take apart the encrypted file of ``case``, or the file ``name`` of its format."""
    data = (VECTORS / (name or case["encrypted"])).read_bytes()
    readers = {"yaml": _read_yaml, "dotenv": _read_dotenv, "ini": _read_ini}
    return readers.get(case["format"], _read_json)(data.decode())


def _read_yaml(text: str) -> Read:
    items: list[Item] = []
    blocks: list[dict[str, Any]] = []
    loader = YAML(typ="safe", pure=True)
    for root in loader.compose_all(text):
        assert isinstance(root, MappingNode)
        for key, value in root.value:
            if key.value == "sops":
                blocks.append(_plain(value))
            else:
                items += _yaml_items(value, (key.value,))
    return Read(items, blocks[0] if blocks else {})


def _yaml_items(node: Node, path: TreePath) -> Iterator[Item]:
    if isinstance(node, ScalarNode):
        yield Item(path, resolve_yaml(node.value, quoted=node.style is not None))
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _yaml_items(value, (*path, key.value))
    else:
        for index, value in enumerate(node.value):
            yield from _yaml_items(value, (*path, index))


def _plain(node: Node) -> Any:
    if isinstance(node, ScalarNode):
        return {"int": int(node.value) if node.value.isdigit() else 0, "bool": node.value == "true"}.get(
            str(node.tag).removeprefix("tag:yaml.org,2002:"), node.value
        )
    if isinstance(node, MappingNode):
        return {key.value: _plain(value) for key, value in node.value}
    return [_plain(value) for value in node.value]


def _read_json(text: str) -> Read:
    tree = json.loads(text, parse_int=_Number, parse_float=_Number)
    block = json.loads(text).get("sops", {})
    return Read([item for key in tree if key != "sops" for item in _json_items(tree[key], (key,))], block)


def _json_items(value: Any, path: TreePath) -> Iterator[Item]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _json_items(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _json_items(below, (*path, index))
    elif isinstance(value, _Number):
        yield Item(path, resolve_json(value))
    else:
        yield Item(path, resolve_json(json.dumps(value)))


def _read_dotenv(text: str) -> Read:
    lines = [line.partition("=") for line in text.split("\n") if line and not line.startswith("#")]
    block = {key: value for key, _, value in lines if key.startswith("sops_")}
    items = [
        Item((key,), (LeafKind.STRING, value.replace("\\n", "\n").encode()))
        for key, _, value in lines
        if key not in block
    ]
    return Read(items, unflatten(block, prefix="sops_"))


def ini_sections(text: str) -> dict[str, dict[str, str]]:
    """The sections of an ini file, as configparser reads them."""
    parser = configparser.RawConfigParser(delimiters=("=",), default_section="\0", strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string("[DEFAULT]\n" + text if not text.startswith("[") else text)
    return {name: dict(parser[name]) for name in parser.sections()}


def _read_ini(text: str) -> Read:
    sections = ini_sections(text)
    block = sections.pop("sops", {})
    items = [
        Item((name, key), (LeafKind.STRING, value.encode()))
        for name, entries in sections.items()
        for key, value in entries.items()
    ]
    return Read(items, unflatten(block))


def identities(case: dict[str, Any]) -> list[Identity]:
    """The identities that ``case`` gives to sops."""
    found: list[Identity] = []
    for variable, name in case["identity"]["env"].items():
        data = (KEYS / Path(name).name).read_bytes()
        if "SSH" in variable:
            key = parse_ssh_private_key(data)
            assert isinstance(key, SshPrivateKey)
            found.append(SshIdentity(key, name))
        else:
            secrets = parse_age_identities(data)
            found += [AgeIdentity(secret, name) for secret in secrets if isinstance(secret, AgeSecret)]
    return found


def shares(metadata: Metadata, keys: list[Identity]) -> list[bytes]:
    """What each group that opens gives."""
    opened = (_open_group(group, keys) for group in metadata.groups)
    return [share for share in opened if share is not None]


def _open_group(group: KeyGroup, keys: list[Identity]) -> bytes | None:
    for entry in group.age:
        try:
            return decrypt_age(entry.enc.encode(), keys).plaintext.expose()
        except SecretsmithError:
            continue
    return None


def data_key(metadata: Metadata, keys: list[Identity]) -> Sensitive:
    """The data key of a file."""
    found = shares(metadata, keys)
    return Sensitive(found[0] if len(metadata.groups) == 1 else combine(found))


def open_item(item: Item, key: Sensitive) -> Value:
    """Decrypt one value to its canonical form."""
    sealed = parse_sealed(item.text)
    kind = LeafKind(sealed.kind)
    return kind, canonical(kind, open_sealed(sealed, key, item.aad))


def verified(file: Read, key: Sensitive) -> bool:
    """Say whether the MAC of a file fits its values."""
    metadata = file.metadata
    mac = DocumentMac(metadata.mac_only_encrypted)
    for item in file.items:
        encrypted = item.sealed if file.selection.of_comments else file.selection.encrypts(item.path)
        kind, plain = open_item(item, key) if encrypted and item.text else item.value
        if kind is not LeafKind.COMMENT and (encrypted or not metadata.mac_only_encrypted):
            mac.update(plain)
    return mac.matches(open_sealed(parse_sealed(metadata.mac), key, metadata.mac_aad))


__all__ = [
    "CASES",
    "KEYS",
    "READABLE",
    "VECTORS",
    "Item",
    "Read",
    "data_key",
    "identities",
    "ini_sections",
    "open_item",
    "read",
    "shares",
    "verified",
]
