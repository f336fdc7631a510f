"""The manifest as bytes: parsing with every check, and writing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn

from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest.model import Manifest, ManifestEntry, ManifestPrincipal, Placeholder
from secretsmith.manifest.rules import check_rules
from secretsmith.manifest.shape import VERSION, read_shape
from secretsmith.record import fields

MAX_MANIFEST_BYTES = 16 * 1024 * 1024


def parse_manifest(data: bytes) -> Manifest:
    """Read and check a manifest (UTF-8 JSON, at most 16 MiB).

    Raises:
        RefusedInput: TOO_BIG, MANIFEST, NAME, NAME_CLASH, MODE, OWNER or PATH_UNSAFE; the message names entry and field.
    """
    manifest = read_shape(_load(data))
    check_rules(manifest)
    return manifest


def dump_manifest(manifest: Manifest) -> bytes:
    """Write ``manifest`` as JSON that :func:`parse_manifest` reads back as the same; defaults are left out."""
    tree = {"version": VERSION, **_members(manifest)}
    return (json.dumps(tree, indent=2, ensure_ascii=True) + "\n").encode()


def _members(value: Manifest | ManifestEntry | ManifestPrincipal | Placeholder) -> dict[str, object]:
    found = {item.name: getattr(value, item.name) for item in fields(value)}
    defaults: dict[str, object] = {item.name: item.made() for item in fields(value)}
    return {name: _plain(item) for name, item in found.items() if item != defaults[name]}


def _plain(value: object) -> object:
    if isinstance(value, Manifest | ManifestEntry | ManifestPrincipal | Placeholder):
        return _members(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _load(data: bytes) -> object:
    if len(data) > MAX_MANIFEST_BYTES:
        raise RefusedInput(Code.TOO_BIG, f"manifest: larger than {MAX_MANIFEST_BYTES // 1024 // 1024} MiB")
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except UnicodeDecodeError as error:
        raise RefusedInput(Code.MANIFEST, f"manifest: not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise RefusedInput(Code.MANIFEST, f"manifest: not JSON: {error.msg.lower()}: {place}") from None
    except (ValueError, RecursionError):  # a number of 5,000 digits, brackets 100,000 deep
        raise RefusedInput(Code.MANIFEST, "manifest: a number too long or nesting too deep") from None


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # Readers differ in which of two equal keys wins, so one reader's review says nothing about another's act.
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise RefusedInput(Code.MANIFEST, f"manifest: the key {name[:64]!a} is given twice")
        found[name] = value
    return found


def _no_float(text: str) -> NoReturn:
    raise RefusedInput(Code.MANIFEST, f"manifest: {text[:32]} is no whole number")
