"""Changing values of a sops document: one set, one taken away, or the whole text edited in clear.

What does not change keeps its sealed text, so that the change is all that a diff shows.
Source: sops, sops.go (Set, Unset), aes/cipher.go (stash), cmd/sops/edit.go.
"""

from __future__ import annotations

import time

from secretsmith.documents.format import Format
from secretsmith.documents.jsonreplace import replacing
from secretsmith.documents.naming import stored_path
from secretsmith.documents.node import Comment, List, Map, Node, Scalar, Value, same_node
from secretsmith.documents.sopsfile import SopsFile, require_writable
from secretsmith.documents.sopsnew import clear_values, read_clear, seal_all
from secretsmith.documents.sopsopen import OpenDocument, open_values
from secretsmith.documents.sopsplain import binary_value, plaintext, subtree
from secretsmith.documents.sopsreuse import Reuse, edits_of, place_block
from secretsmith.documents.sopswrite import (
    Clock,
    finish,
    needs_sealing,
    plain_shape,
    seal,
    sealed_edit,
)
from secretsmith.documents.tree import Edit, Leaf, LeafKind, Span, TreePath, format_tree_path
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.sensitive import Sensitive

_RESERVED = "sops"
# Where a new value comes to stand at the very path that it is given for.
_PATHS_AS_GIVEN = (Format.YAML, Format.JSON)


def replace_plaintext(opened: OpenDocument, clear: bytes, clock: Clock = time.time) -> bytes:
    """Give the document the values, comments and formatting of ``clear``, its own text after an edit.

    Values that were there before keep their sealed text. Without any difference, neither does anything else
    change.

    Raises:
        RefusedInput: what reading ``clear`` raises; RULES; VERSION.
        Conflict: CONFLICT.
    """
    require_writable(opened.file)
    if opened.file.format is Format.BINARY:
        return _replace_binary(opened, clear, clock)
    if clear == plaintext(opened):
        return opened.document.source
    document = read_clear(opened.file.format, clear)
    file = SopsFile(opened.file.format, document, opened.file.metadata)
    reuse = Reuse(opened, file)
    sealed = seal_all(file, opened.data_key, reuse.kept)
    edits = [*edits_of(opened.file, file, reuse, sealed), *place_block(opened.file, file)]
    source = document.splice(edits)
    if source == opened.document.source:
        # Another spelling of the same values, quotes for instance, that a sealed text does not show.
        return source
    return finish(file.format, source, opened.recovered, clock, expected=clear_values(document))


def _replace_binary(opened: OpenDocument, clear: bytes, clock: Clock) -> bytes:
    if clear == binary_value(opened):
        return opened.document.source
    index = opened.file.by_name["data",]
    leaf = opened.document.leaves[index]
    value = (LeafKind.STRING, clear)
    text = seal(leaf, value, opened.data_key) if needs_sealing(value) else b""
    out = opened.document.splice([sealed_edit(opened.file, index, text)])
    return finish(Format.BINARY, out, opened.recovered, clock, expected=[value])


def set_value(
    opened: OpenDocument,
    path: TreePath,
    value: Node,
    clock: Clock = time.time,
    *,
    idempotent: bool = False,
) -> bytes:
    """Put ``value`` at ``path`` of the first document; mappings missing on the way are made.

    A number at or beyond a list's length appends; a value on the way gives room to a mapping. An equal value
    keeps its sealed text, though MAC and time are renewed, as sops does; with ``idempotent`` they are not.

    Raises:
        RefusedInput: USAGE without a path, YAML_SHAPE for sops's own entry and what the format cannot hold,
            VERSION, and what the codec raises.
    """
    require_writable(opened.file)
    if not path:
        raise RefusedInput(
            Code.USAGE, "say which value to set", hints=("a key path looks like: db/password",)
        )
    if str(path[0]) == _RESERVED:
        raise RefusedInput(Code.YAML_SHAPE, "the top-level key 'sops' belongs to sops")
    if idempotent and _holds(opened, path, value):
        return opened.document.source
    opened = _plain(opened)
    file = opened.file
    stored = stored_path(file.document, path)
    index = _index(file, stored)
    if index is not None and isinstance(value, Scalar):
        edits = _set_leaf(opened, index, (value.kind, value.plain))
        return finish(file.format, file.document.splice(edits), opened.recovered, clock, before=opened)
    if file.format in _PATHS_AS_GIVEN and not file.selection.of_comments:
        edits, _ = _put(file, stored, _sealed_node(file, stored, value, opened.data_key))
        return finish(file.format, file.document.splice(edits), opened.recovered, clock, before=opened)
    edits, target = _put(file, stored, value)
    source = _sealed_below(file, file.document.splice(edits), target, opened)
    return finish(file.format, source, opened.recovered, clock, before=opened)


def _holds(opened: OpenDocument, path: TreePath, value: Node) -> bool:
    try:
        return same_node(subtree(opened, path), value)
    except NotFound:
        return False


def _plain(opened: OpenDocument) -> OpenDocument:
    """Expand what an edit cannot be made in; the values stay."""
    file = plain_shape(opened.file)
    return opened if file is opened.file else open_values(file, opened.recovered)


def _index(file: SopsFile, path: TreePath) -> int | None:
    for index, leaf in enumerate(file.document.leaves):
        if leaf.path == path and leaf.kind is not LeafKind.COMMENT and not leaf.document:
            return index
    return None


def _set_leaf(opened: OpenDocument, index: int, value: Value) -> list[Edit]:
    file = opened.file
    leaf = file.document.leaves[index]
    if file.encrypted[index] and needs_sealing(value):
        if file.is_sealed(index) and value == opened.values[index]:
            return []
        return [sealed_edit(file, index, seal(leaf, value, opened.data_key))]
    if value == (leaf.kind, leaf.plain):
        return []
    return [Edit(leaf.span, file.codec.scalar(file.document, leaf, *value))]


def _put(file: SopsFile, path: TreePath, value: Node) -> tuple[list[Edit], TreePath]:
    """Put a value in clear where there is none, or in the place of something else; gives where it went."""
    document = file.document
    went: TreePath = ()
    for segment in path:
        container = document.container(went)
        if isinstance(segment, int):
            segment = 0 if container is None else min(segment, _length(file, went))
        went = (*went, segment)
    if file.format is Format.JSON and (span := _span(file, went)) is not None:
        return [Edit(span, replacing(document, span, value))], went
    return list(file.codec.insert(document, went, value)), went


def _span(file: SopsFile, path: TreePath) -> Span | None:
    index = _index(file, path)
    if index is not None:
        return file.document.leaves[index].span
    container = file.document.container(path)
    return None if container is None else container.span


def _length(file: SopsFile, path: TreePath) -> int:
    """Count the items of a list, sealed comments among them."""
    depth = len(path)
    paths = [
        *(leaf.path for leaf in file.document.leaves if not leaf.document),
        *(container.path for container in file.document.containers if not container.document),
    ]
    places = [each[depth] for each in paths if len(each) > depth and each[:depth] == path]
    return 1 + max((place for place in places if isinstance(place, int)), default=-1)


def _sealed_node(file: SopsFile, path: TreePath, node: Node, key: Sensitive) -> Node:
    """Seal what the document's rule encrypts of a tree that is to stand at ``path``."""
    if isinstance(node, Map):
        return Map(
            [
                entry
                if isinstance(entry, Comment)
                else (entry[0], _sealed_node(file, (*path, entry[0]), entry[1], key))
                for entry in node.entries
            ]
        )
    if isinstance(node, List):
        return List(
            [
                item if isinstance(item, Comment) else _sealed_node(file, (*path, place), item, key)
                for place, item in enumerate(node.items)
            ]
        )
    value = (node.kind, node.plain)
    if not needs_sealing(value) or not file.selection.encrypts(path):
        return node
    return Scalar(LeafKind.STRING, seal(Leaf(path, LeafKind.STRING, Span(0, 0), b""), value, key))


def _sealed_below(file: SopsFile, source: bytes, target: TreePath, opened: OpenDocument) -> bytes:
    """Seal what was just put at ``target`` in clear."""
    changed = SopsFile(file.format, file.codec.read(source), file.metadata)
    edits = []
    for index, leaf in enumerate(changed.document.leaves):
        value = (leaf.kind, leaf.plain)
        below = not leaf.document and leaf.path[: len(target)] == target and leaf.kind is not LeafKind.COMMENT
        if below and changed.encrypted[index] and needs_sealing(value):
            edits.append(sealed_edit(changed, index, seal(leaf, value, opened.data_key)))
    return changed.document.splice(edits)


def unset_value(
    opened: OpenDocument, path: TreePath, clock: Clock = time.time, *, idempotent: bool = False
) -> bytes:
    """Take away what is at ``path`` of the first document: a value, or a mapping or list with all in it.

    Raises:
        NotFound: NOT_FOUND, unless ``idempotent``.
        RefusedInput: VERSION; USAGE without a path.
    """
    require_writable(opened.file)
    if not path:
        raise RefusedInput(Code.USAGE, "say which value to take away; for all of it: secretsmith rm FILE")
    opened = _plain(opened)
    file = opened.file
    stored = stored_path(file.document, path)
    if _index(file, stored) is None and file.document.container(stored) is None:
        if idempotent:
            return opened.document.source
        shown = format_tree_path(path).encode("unicode_escape").decode("ascii")
        raise NotFound(Code.NOT_FOUND, f"nothing at '{shown}'")
    source = file.document.splice(file.codec.remove(file.document, stored))
    return finish(file.format, source, opened.recovered, clock, before=opened)


__all__ = ["replace_plaintext", "set_value", "unset_value"]
