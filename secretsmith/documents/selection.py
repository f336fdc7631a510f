"""Which values of a document are encrypted: the six rules of sops.

Rules on keys look at every key on the way to a value, rules on comments at the comments in front of it and
of all that it stands in. Source: sops, sops.go (shouldBeEncrypted, walkBranch, walkSlice).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from secretsmith.documents.metadata import RULES
from secretsmith.documents.node import Value
from secretsmith.documents.tree import Document, Leaf, LeafKind, TreePath
from secretsmith.errors import Code, RefusedInput
from secretsmith.regex import compile_regex

Matcher = Callable[[str], bool]

MAX_MATCHED: Final = 10_000
"""Characters of a key or comment that an expression is tried on."""

_SEALED_COMMENT_END: Final = b",type:comment]"
_SEALED_START: Final = b"ENC[AES256_GCM,"


_LITERAL = re.compile(r"(\^?)([\w \-:,/=@#~%!<>&;'\"]+)(\$?)")


def _linear(pattern: str) -> Matcher:
    found = _LITERAL.fullmatch(pattern)
    if found is None:
        return compile_regex(pattern).search
    # Most rules are words. Comparing texts takes a hundredth of the time, which counts with many comments.
    word = found[2]
    if found[1] and found[3]:
        return lambda text: text == word
    if found[1]:
        return lambda text: text.startswith(word)
    return (lambda text: text.endswith(word)) if found[3] else (lambda text: word in text)


class Selection:
    """One rule: its name in the metadata, and the suffix or expression.

    ``compile`` makes an unanchored search of an expression, in linear time.

    Raises:
        RefusedInput: RULES for an unknown name, an empty value, or an expression that RE2 and we might read
            differently: sops takes one that it cannot read for one without a match, and leaves values clear.
    """

    def __init__(self, name: str, value: str, *, compile: Callable[[str], Matcher] = _linear) -> None:  # noqa: A002
        if name not in RULES:
            raise RefusedInput(Code.RULES, "the selection rule is none of those of sops")
        if not value:
            raise RefusedInput(Code.RULES, f"{name} is empty")
        self.name = name
        self.value = value
        self.of_comments = name.endswith("_comment_regex")
        self.encrypts_on_match = name.startswith("encrypted_")
        self._known: dict[str, bool] = {}
        self._suffix = value if name.endswith("_suffix") else None
        if self._suffix is None:
            self._match = _compiled(name, value, compile)

    def matches(self, text: str) -> bool:
        """Say whether one key or comment matches. Each is tried once; documents repeat their keys."""
        if self._suffix is not None:
            return text.endswith(self._suffix)
        found = self._known.get(text)
        if found is None:
            if len(text) > MAX_MATCHED:
                raise RefusedInput(
                    Code.RULES,
                    f"a key or comment of more than {MAX_MATCHED} characters is not matched with {self.name}",
                )
            found = self._known[text] = self._match(text)
        return found

    def encrypts(self, path: TreePath, comments: Sequence[str] = (), *, comment: str | None = None) -> bool:
        """Say whether the value at ``path`` is encrypted.

        ``comments`` are those in front of the value and of what it stands in (:meth:`walk` keeps count).
        For a comment, ``path`` is that of the mapping or list around it, ``comment`` its own text, and
        ``comments`` those before it.
        """
        if self.of_comments:
            # A comment that turns encryption on stays clear itself; one that turns it off does so for itself too.
            own = () if comment is None or self.encrypts_on_match else (comment,)
            matched = any(self.matches(text) for text in (*comments, *own))
        else:
            matched = any(self.matches(key) for key in path if isinstance(key, str))
        return matched is self.encrypts_on_match

    def require_hidden(self, sealed: str) -> None:
        """Refuse a rule that would match an encrypted comment: the document could not be read again.

        Raises:
            RefusedInput: RULES.
        """
        if self.name == "unencrypted_comment_regex" and self.matches(sealed):
            raise RefusedInput(
                Code.RULES,
                "unencrypted_comment_regex matches an encrypted comment",
                hints=("write it so that it does not match the text ENC[AES256_GCM,…",),
            )

    def walk(self) -> Walk:
        """Begin a walk through a document."""
        return Walk(self)

    def choose(self, document: Document, values: Mapping[int, Value] | None = None) -> tuple[bool, ...]:
        """Say of each of ``document.leaves`` whether it is encrypted.

        ``values`` replace what the leaves hold, by their place. A list item that is a sealed comment (so
        sops stores comments of lists) is taken for a comment; sops takes it for a value when it reads, and
        cannot read what it wrote (sops issue 2281).
        """
        if not self.of_comments:
            return self._choose_by_keys(document)
        walk = self.walk()
        chosen = []
        for index, leaf in _with_empty(document):
            kind, plain = (values or {}).get(index, (leaf.kind, leaf.plain))
            path, text = _as_comment(leaf, kind, plain)
            if text is None:
                found = walk.value(path, leaf.document)
            else:
                found = walk.comment(path, text, leaf.document)
            if index >= 0:
                chosen.append(found)
        return tuple(chosen)

    def _choose_by_keys(self, document: Document) -> tuple[bool, ...]:
        """Choose as :meth:`encrypts` does, each mapping and list on the way looked at once."""
        on_match, matches = self.encrypts_on_match, self.matches
        around: dict[TreePath, bool] = {}
        chosen = []
        for leaf in document.leaves:
            path = leaf.path
            if leaf.kind is LeafKind.COMMENT:
                last: str | int = 0
            else:
                path, last = path[:-1], path[-1] if path else 0
            found = around.get(path)
            if found is None:
                found = around[path] = any(matches(key) for key in path if isinstance(key, str))
            chosen.append((found or (isinstance(last, str) and matches(last))) is on_match)
        return tuple(chosen)

    def __repr__(self) -> str:
        return f"Selection({self.name!r}, {self.value!r})"


DEFAULT: Final = Selection("unencrypted_suffix", "_unencrypted")
"""What holds for a document that has no rule."""


def _compiled(name: str, value: str, compiler: Callable[[str], Matcher]) -> Matcher:
    try:
        return compiler(value)
    except RefusedInput as error:
        reason, hints = error.message, error.hints
    raise RefusedInput(Code.RULES, f"{name}: {reason}", hints=hints)


def _as_comment(leaf: Leaf, kind: LeafKind, plain: bytes) -> tuple[TreePath, str | None]:
    """Give the path to walk to, and the text if the leaf is a comment."""
    if leaf.kind is LeafKind.COMMENT:
        return leaf.path, plain.decode("utf-8", "replace")
    in_list = bool(leaf.path) and isinstance(leaf.path[-1], int)
    sealed = plain.startswith(_SEALED_START) and plain.endswith(_SEALED_COMMENT_END)
    if in_list and (kind is LeafKind.COMMENT or sealed):
        return leaf.path[:-1], plain.decode("utf-8", "replace")
    return leaf.path, None


def _with_empty(document: Document) -> Iterator[tuple[int, Leaf]]:
    """Give the leaves with their places, and between them empty mappings and lists, with -1.

    Those are no leaves, but comments in front of them end with them.
    """
    empty = iter([container for container in document.containers if container.empty and container.path])
    waiting = next(empty, None)
    for index, leaf in enumerate(document.leaves):
        place = (leaf.document, leaf.span.start)
        while waiting is not None and (waiting.document, waiting.span.start) <= place:
            yield -1, Leaf(waiting.path, LeafKind.NULL, waiting.span, b"", document=waiting.document)
            waiting = next(empty, None)
        yield index, leaf


class Walk:
    """Keeps count, from leaf to leaf, of the comments that are in force.

    Each mapping and list has the comments since its last entry; they hold for the entry that follows, and
    for all within it. Only whether one of them matches is kept, so that a walk takes linear time.
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._document = 0
        # The last leaf's path, a comment's with None as its last part; and for each mapping or list on the
        # way to it whether a comment in force there, or further out, matches.
        self._last: tuple[str | int | None, ...] = ()
        self._matched: list[bool] = []

    def value(self, path: TreePath, document: int = 0) -> bool:
        """Say whether the value at ``path`` is encrypted. Also to be called for empty mappings and lists."""
        if not self._selection.of_comments:
            return self._selection.encrypts(path)
        return self._move(path, document) is self._selection.encrypts_on_match

    def comment(self, path: TreePath, text: str, document: int = 0) -> bool:
        """Say whether a comment in the mapping or list at ``path`` is encrypted."""
        if not self._selection.of_comments:
            return self._selection.encrypts(path)
        before = self._move((*path, None), document)
        self._matched[-1] = before or self._selection.matches(text)
        # As in Selection.encrypts: for itself only a comment that turns encryption off counts.
        matched = before if self._selection.encrypts_on_match else self._matched[-1]
        return matched is self._selection.encrypts_on_match

    def _move(self, path: tuple[str | int | None, ...], document: int) -> bool:
        """Go to the next leaf; gives whether a comment in force there matches."""
        if document != self._document:
            self._document, self._last, self._matched = document, (), []
        shared = 0
        for here, there in zip(path, self._last, strict=False):
            if here != there:
                break
            shared += 1
        # Within the entries that both leaves stand in, nothing has ended. Where they part, an entry has
        # ended, and the comments in front of it, unless the last leaf was a comment between two entries.
        ended = shared < len(self._last) and self._last[shared] is not None
        kept = self._matched[: shared if ended else shared + 1]
        while len(kept) < len(path):
            kept.append(kept[-1] if kept else False)
        self._last, self._matched = path, kept[: len(path)]
        return bool(self._matched) and self._matched[-1]


__all__ = ["DEFAULT", "MAX_MATCHED", "Selection", "Walk"]
