"""Which mapping or list a comment of YAML belongs to.

A comment's place is part of what its encryption binds, so it has to be the one that sops finds. sops takes
it from go-yaml (scannerc.go, yaml_parser_scan_comments): a comment belongs to what comes next, unless what
comes next stands further left; then it belongs to what came before.
"""

from __future__ import annotations

from collections.abc import Iterator

from secretsmith.documents.yamlframes import Frame
from secretsmith.record import record


@record(frozen=False)
class _Run:
    """Comment lines of one column without a blank line between them."""

    column: int
    spans: list[tuple[int, int]]
    blank_before: bool


class Waiting:
    """Comments on lines of their own, between two pieces of content."""

    def __init__(self, source: bytes, origin: int) -> None:
        self.source = source
        self._origin = origin
        self._spans: list[tuple[int, int]] = []
        self._before: list[Frame] = []
        self._content_end = 0
        self._content_open = False

    def __bool__(self) -> bool:
        return bool(self._spans)

    @property
    def count(self) -> int:
        """How many comments wait."""
        return len(self._spans)

    @property
    def end(self) -> int:
        """Where the last comment ends."""
        return self._spans[-1][1]

    def add(self, start: int, end: int, stack: list[Frame], content_end: int, content_open: bool) -> None:
        """Keep the comment at ``start`` to ``end``.

        The rest is as it was after the last content: the open containers, where the content ended, and
        whether it was a key or mark with nothing behind it.
        """
        if not self._spans:
            self._before = list(stack)
            self._content_end = content_end
            self._content_open = content_open
        self._spans.append((start, end))

    def goes_on(self, top: Frame) -> bool:
        """Say whether what comes next, if it is the next entry of ``top``, goes on where the last content was.

        The comments between are of ``top``, then, wherever they stand.
        """
        return bool(self._before) and self._before[-1] is top

    def take(self) -> list[tuple[int, int]]:
        """Give the comments, which wait no longer."""
        spans, self._spans = self._spans, []
        return spans

    def place(self, next_start: int | None, stack: list[Frame]) -> Iterator[tuple[Frame | None, int, int]]:
        """Give each comment with its container (None: the top of a document that is still empty).

        ``next_start`` is where the next content begins, which is open on ``stack`` by now; None: nothing
        comes.
        """
        runs = self._runs()
        stop = len(self.source) if next_start is None else next_start
        column = -1 if next_start is None else self._column(next_start)
        following = self._following(column, stack)
        self._spans = []
        for number, run in enumerate(runs):
            later = runs[number + 1] if number + 1 < len(runs) else None
            end = run.spans[-1][1]
            blank_after = later.blank_before if later else self._is_blank(end, stop) or next_start is None
            next_column = later.column if later else column
            frame = self._owner(run, number == 0, next_column, following, blank_after)
            for start, finish in run.spans:
                yield frame, start, finish
            if frame is not None and frame is not following:
                at = self.source.find(b"\n", end)
                frame.stretch(len(self.source) if at < 0 else at + 1)

    def _owner(
        self,
        run: _Run,
        first: bool,
        next_column: int,
        following: Frame | None,
        blank_after: bool,
    ) -> Frame | None:
        if not self._before:
            return following
        innermost = self._before[-1]
        if innermost.data is not None and following is not None and following.data is not None:
            return following
        dedented = run.column < innermost.indent
        if first and blank_after and not (run.blank_before or self._content_open or dedented):
            return innermost
        if next_column >= innermost.indent or next_column == run.column:
            return following
        if first and not (blank_after and (dedented or (next_column < 0 and run.blank_before))):
            return innermost
        return self._by_column(run.column, following)

    def _by_column(self, column: int, following: Frame | None) -> Frame:
        # The outermost first: a list in the column of its key ends with the first comment behind it.
        for frame in self._before:
            if frame.indent == column:
                return frame
        return following if following in self._before else self._before[0]

    def _following(self, column: int, stack: list[Frame]) -> Frame | None:
        """Find the container of what comes next: the outermost whose entries begin in its column."""
        for number, frame in enumerate(stack):
            if frame.indent == column and frame.style == "block":
                inner = stack[number + 1] if number + 1 < len(stack) else frame
                # A list may stand in the column of the mapping it is a value of.
                return inner if inner.indent == column and inner.style == "block" else frame
        return stack[-1] if stack else None

    def _runs(self) -> list[_Run]:
        runs: list[_Run] = []
        last = self._content_end
        for start, end in self._spans:
            column = self._column(start)
            blank = self._is_blank(last, start)
            if runs and not blank and runs[-1].column == column:
                runs[-1].spans.append((start, end))
            else:
                runs.append(_Run(column, [(start, end)], blank))
            last = end
        return runs

    def _is_blank(self, start: int, end: int) -> bool:
        return self.source.count(b"\n", start, end) > 1

    def _column(self, offset: int) -> int:
        return offset - max(self.source.rfind(b"\n", 0, offset) + 1, self._origin)


__all__ = ["Waiting"]
