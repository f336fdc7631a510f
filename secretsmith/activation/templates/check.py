"""Whether a rendered template is still of its format, and says what it was written to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from secretsmith.activation.templates.readers import read_shape
from secretsmith.activation.templates.shape import Comparison, Hole, Shape, Tokens, Unreadable
from secretsmith.activation.templates.text import CutText
from secretsmith.manifest import Filter, TemplateFormat
from secretsmith.record import field, record

# The filters whose quotes a reader of the format takes off again, so that the value itself must arrive. What is
# percent-encoded arrives as it was inserted, in any format.
_DATA: Final = frozenset({Filter.JSON, Filter.YAML, Filter.TOML})
_READ_BACK: Final[Mapping[TemplateFormat, frozenset[Filter]]] = {
    TemplateFormat.JSON: _DATA,
    TemplateFormat.YAML: _DATA,
    TemplateFormat.TOML: _DATA,
    TemplateFormat.DOTENV: frozenset({Filter.ENV, Filter.SHELL}),
    TemplateFormat.INI: frozenset({Filter.INI}),
}

# Of larger ones it is not tried out which of the values is wrong: reading one may take a second.
MAX_TRIED: Final = 64 * 1024


@record
class Insertion:
    """What goes into the place of a placeholder, and the value that it was made of."""

    filter: Filter
    inserted: bytes = field(repr=False)
    value: bytes = field(repr=False)


@record
class Fault:
    """Why a result is refused, without a value: placeholder ``number`` is to blame, if known, or ``line`` of the template."""

    why: str
    number: int | None = None
    line: int | None = None


class Check:
    """One template with its values, tried as often as it takes to say which value is wrong."""

    def __init__(
        self,
        format: TemplateFormat,  # noqa: A002  # the manifest's word for it
        content: str,
        cut: CutText,
        insertions: Sequence[Insertion],
    ) -> None:
        self._format = format
        self._cut = cut
        self._insertions = insertions
        self._tokens = Tokens(content)
        self._harmless = [self._tokens.token(number).encode("ascii") for number in range(len(insertions))]

    def fault(self) -> Fault | None:
        """Return what is wrong with the result, or None."""
        try:
            self._wanted  # noqa: B018  # read here, so that its failure is not taken for that of a value
        except Unreadable as error:
            return Fault(f"with numbers for its placeholders it {error.why}", line=error.line)
        for number, insertion in enumerate(self._insertions):
            if not _is_text(insertion.inserted):
                return Fault("the value is no text (UTF-8 without NUL)", number)
        bad = len(self._insertions)
        why = self._failure(bad)
        if why is None:
            return None
        if self._cut.size(self._harmless) > MAX_TRIED:
            return Fault(why, 0 if bad == 1 else None)
        # The first placeholder with whose value it goes wrong while those behind it have harmless ones.
        good = 0
        while bad - good > 1:
            middle = (good + bad) // 2
            found = self._failure(middle)
            if found is None:
                good = middle
            else:
                bad, why = middle, found
        return Fault(self._in_lines(why, bad - 1), bad - 1)

    def _in_lines(self, why: str, number: int) -> str:
        """Say it of a value of several lines, instead of the quotes that a filter put around it and a reader misses."""
        insertion = self._insertions[number]
        quoted = self._format is TemplateFormat.DOTENV and insertion.filter in _READ_BACK[self._format]
        if quoted and b"\n" in insertion.value:
            return "the value has several lines, which not all readers of such files take for one"
        return why

    @cached_property
    def _wanted(self) -> Shape:
        return read_shape(self._format, self._cut.filled(self._harmless).decode("utf-8"))

    def _failure(self, count: int) -> str | None:
        """Return what is wrong if the first ``count`` placeholders have their values and the others numbers."""
        fills = [each.inserted for each in self._insertions[:count]] + self._harmless[count:]
        try:
            found = read_shape(self._format, self._cut.filled(fills).decode("utf-8"))
        except Unreadable as error:
            return f"the result {error.why}"
        holes = {
            number: self._hole(number) if number < count else self._filled_by_itself(number)
            for number in range(len(fills))
        }
        return Comparison(self._tokens, holes).difference(self._wanted, found)

    def _hole(self, number: int) -> Hole:
        insertion = self._insertions[number]
        inserted = insertion.inserted.decode("utf-8")
        if insertion.filter in _READ_BACK[self._format]:
            return Hole(inserted, insertion.value.decode("utf-8"))
        if insertion.filter is Filter.URL:
            return Hole(inserted, inserted)
        return Hole(inserted, raw=insertion.filter is Filter.RAW)

    def _filled_by_itself(self, number: int) -> Hole:
        token = self._tokens.token(number)
        return Hole(token, token)


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode("utf-8")
    except UnicodeDecodeError:
        return False


__all__ = ["Check", "Fault", "Insertion"]
