"""A template's text cut at its placeholders, so that it is put together with values, or with anything else, in one pass."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence


class CutText:
    """A text and where its placeholders stand.

    ``places`` has the placeholders that occur, in the order in which they first do, and the line of that. Of two that
    begin at the same place, the longer one counts; what is in the place of one is searched no further.
    """

    def __init__(self, content: str, placeholders: Collection[str]) -> None:
        self.places: dict[str, int] = {}
        # Texts and, between them, numbers of placeholders.
        self._pieces: list[bytes | int] = []
        numbers: dict[str, int] = {}
        done, line, counted = 0, 1, 0
        for start, text in _occurrences(content, placeholders):
            if text not in numbers:
                numbers[text] = len(numbers)
                line, counted = line + content.count("\n", counted, start), start
                self.places[text] = line
            self._pieces += (content[done:start].encode("utf-8"), numbers[text])
            done = start + len(text)
        self._pieces.append(content[done:].encode("utf-8"))

    def size(self, fills: Sequence[bytes]) -> int:
        """Return how long :meth:`filled` would be; a value may occur a million times."""
        return sum(len(fills[piece]) if isinstance(piece, int) else len(piece) for piece in self._pieces)

    def filled(self, fills: Sequence[bytes]) -> bytes:
        """Return the text with ``fills``, in the order of ``places``, in the places of the placeholders."""
        return b"".join(fills[piece] if isinstance(piece, int) else piece for piece in self._pieces)


def _occurrences(content: str, placeholders: Collection[str]) -> Iterator[tuple[int, str]]:
    """Give place and text of each placeholder from left to right.

    Looked up by their first character and length: an expression of 10,000 alternatives would try each at each place.
    """
    lengths: dict[str, set[int]] = {}
    for text in placeholders:
        lengths.setdefault(text[0], set()).add(len(text))
    longest_first = {first: sorted(found, reverse=True) for first, found in lengths.items()}
    known = frozenset(placeholders)
    at = 0
    while at < len(content):
        for length in longest_first.get(content[at], ()):
            text = content[at : at + length]
            if text in known:
                yield at, text
                at += length
                break
        else:
            at += 1


__all__ = ["CutText"]
