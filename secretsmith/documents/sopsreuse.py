"""Which sealed texts an edited document keeps, and how it comes to look as much as before as it can."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

from secretsmith.documents.format import Format
from secretsmith.documents.metadata import to_mapping
from secretsmith.documents.naming import is_list_comment, named_paths
from secretsmith.documents.node import Value
from secretsmith.documents.sopsfile import SopsFile
from secretsmith.documents.sopsopen import OpenDocument
from secretsmith.documents.tree import Edit, Leaf, LeafKind, Span, TreePath, aad_of

_Place = tuple[int, TreePath, bool]
_Key = tuple[bytes, LeafKind, bytes]


class Reuse:
    """Finds for each value of an edited text the leaf that held it before.

    A sealed text may stand again for the same value under the same keys, wherever that is in a list: the
    same nonce, key and plaintext give the same text, so nothing is learnt from it. ``before`` gives the old
    leaf's number, ``kept`` the sealed text.
    """

    def __init__(self, opened: OpenDocument, new: SopsFile) -> None:
        self._old = opened
        self._new = new
        self.before: dict[int, int] = {}
        self.styles: dict[int, int] = {}
        self._free: set[int] = {index for index in range(len(opened.values)) if _was_sealed(opened, index)}
        names = named_paths(new.document)
        self._by_place(names)
        self._by_value()

    @property
    def kept(self) -> Mapping[int, bytes]:
        """The sealed texts that stay, by the new leaf's number."""
        return {index: self._old.document.leaves[old].plain for index, old in self.before.items()}

    def _by_place(self, names: Iterable[TreePath]) -> None:
        """Take values that are where they were; and remember what was there, for its style."""
        known: dict[_Place, int] = {}
        for index, (path, leaf) in enumerate(
            zip(self._old.file.named, self._old.document.leaves, strict=True)
        ):
            if self._old.values[index][0] is not LeafKind.COMMENT:
                known[leaf.document, path, False] = index
        for index, (path, leaf) in enumerate(zip(names, self._new.document.leaves, strict=True)):
            if leaf.kind is LeafKind.COMMENT:
                continue
            old = known.get((leaf.document, path, False))
            if old is None:
                continue
            self.styles[index] = old
            if old in self._free and self._matches(index, old):
                self._take(index, old)

    def _by_value(self) -> None:
        """Take equal values that have moved, and comments, in order."""
        waiting: dict[_Key, deque[int]] = defaultdict(deque)
        for old in sorted(self._free):
            leaf = self._old.document.leaves[old]
            waiting[_key(leaf, self._old.values[old])].append(old)
        for index, leaf in enumerate(self._new.document.leaves):
            if index in self.before or not self._new.encrypted[index]:
                continue
            found = waiting.get(_key(leaf, (leaf.kind, leaf.plain)))
            if found:
                self._take(index, found.popleft())

    def _matches(self, index: int, old: int) -> bool:
        leaf = self._new.document.leaves[index]
        before = self._old.document.leaves[old]
        return self._new.encrypted[index] and _key(leaf, (leaf.kind, leaf.plain)) == _key(
            before, self._old.values[old]
        )

    def _take(self, index: int, old: int) -> None:
        self.before[index] = old
        self._free.discard(old)


def _was_sealed(opened: OpenDocument, index: int) -> bool:
    return opened.file.is_sealed(index) and opened.values[index][1] != opened.document.leaves[index].plain


def _key(leaf: Leaf, value: Value) -> _Key:
    """Give what makes two values the same: place by keys, type and form. Texts do not tell 1.0 from 1."""
    kind, plain = value
    aad = aad_of(leaf)
    if kind is LeafKind.INTEGER:
        kind = LeafKind.FLOAT
    return aad, kind, plain


def edits_of(old: SopsFile, new: SopsFile, reuse: Reuse, sealed: Mapping[int, bytes]) -> list[Edit]:
    """Put the sealed texts in the place of the clear ones, written as they were where they were."""
    edits = []
    for index, text in sealed.items():
        leaf = new.document.leaves[index]
        before = reuse.before.get(index)
        if leaf.kind is LeafKind.COMMENT:
            edits.append(_comment_edit(old, new, leaf, text, before))
            continue
        style = reuse.styles.get(index, before)
        model = None if style is None else old.document.leaves[style]
        # In brackets a sealed text needs quotes, which it did not have in lines of its own.
        if model is not None and _in_brackets(old, model) is not _in_brackets(new, leaf):
            model = None
        if model is not None and (written := _as_before(model, text)) is not None:
            edits.append(Edit(leaf.span, written))
        else:
            edits.append(Edit(leaf.span, new.codec.scalar(new.document, leaf, LeafKind.STRING, text)))
    return edits


def _in_brackets(file: SopsFile, leaf: Leaf) -> bool:
    container = file.document.container(leaf.path[:-1], leaf.document)
    return container is not None and container.style == "flow"


def _as_before(leaf: Leaf, text: bytes) -> bytes | None:
    """Write a sealed text as another one was written, if that took one line."""
    if b"\n" in leaf.raw or leaf.raw.count(leaf.plain) != 1 or not leaf.plain.startswith(b"ENC["):
        return None
    return leaf.raw.replace(leaf.plain, text)


def _comment_edit(old: SopsFile, new: SopsFile, leaf: Leaf, text: bytes, before: int | None) -> Edit:
    source = new.document.source
    alone = not source[source.rfind(b"\n", 0, leaf.span.start) + 1 : leaf.span.start].strip(b" ")
    if before is not None and alone and is_list_comment(old.document.leaves[before]):
        # sops had made an item of it.
        return Edit(leaf.span, b"- " + old.document.leaves[before].raw)
    return Edit(leaf.span, new.codec.comment(new.document, leaf, text))


def place_block(old: SopsFile, new: SopsFile) -> list[Edit]:
    """Put the metadata block into an edited text: the same bytes if it stands at the same sort of place."""
    spans = old.document.metadata_spans
    places = new.document.metadata_spans
    before, after = old.document.source, new.document.source
    if not before[: spans[0].start].strip() and old.format is Format.YAML and len(spans) == len(places) == 1:
        return [Edit(Span(0, 0), before[spans[0].start : spans[0].end])]
    if len(spans) == len(places) and all(
        _around(before, span) == _around(after, place) for span, place in zip(spans, places, strict=True)
    ):
        return [Edit(place, before[span.start : span.end]) for span, place in zip(spans, places, strict=True)]
    block = new.codec.format_metadata(new.document, to_mapping(old.metadata))
    if new.format is Format.YAML:
        return [Edit(place, block) for place in places]
    return [Edit(place, block) for place in places[:1]]


def _around(source: bytes, span: Span) -> tuple[bytes, bytes]:
    """Give what decides how a block begins and ends: an open line or not, an open bracket or not."""
    last = source[max(0, span.start - 1) : span.start]
    return (last if last in (b"\n", b"{", b"") else b"."), source[span.end : span.end + 1]


__all__ = ["Reuse", "edits_of", "place_block"]
