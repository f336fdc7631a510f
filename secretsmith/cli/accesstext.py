"""``access`` for people: a table, one secret in detail, Markdown for a pull request."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from secretsmith.cli.render import columns, printable, table
from secretsmith.cli.session import Session
from secretsmith.operations.access import Access, Reader
from secretsmith.operations.accessdiff import AccessDiff, Change, Gain
from secretsmith.operations.whonames import in_words
from secretsmith.project import Project

RESTS_ON = {
    "file": "the file itself names them",
    "lock": "secretsmith.lock says so, and its digest fits the file",
    "assumed": "assumed: the file has as many anonymous recipients as the rules want readers",
}
_FOLDED = 10
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#!|~@&])")


def table_rows(
    project: Project, found: Iterable[Access], *, keys: bool, names: frozenset[str] | None = None
) -> Iterator[tuple[str, str, str]]:
    """Yield path (with ``keys`` a row for each key of a document), basis and readers; of those only ``names``, if given."""
    known: dict[object, str] = {}  # a fleet has few sets of readers, however many files
    for one in found:
        if one.problem:
            continue
        who = (one.readers, one.unknown, one.threshold, one.groups)
        readers = known.get(who) or known.setdefault(who, readers_text(project, one, names))
        listed = one.keys if keys and one.keys is not None else (None,)
        for key in listed:
            yield one.path if key is None else f"{one.path} {key}", one.basis, readers


def write_table(session: Session, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to standard output; on a terminal, a first cell too long for it stands on a line of its own.

    Else one long path would leave no room for the readers of all others.
    """
    if not session.stdout_is_terminal:
        session.table(header, rows)
        return
    width = _terminal_width(session)
    first = max((columns(row[0]) for row in (header, *rows) if columns(row[0]) <= width // 2), default=0)
    others = [max(columns(row[i]) for row in (header, *rows)) for i in range(1, len(header) - 1)]

    def padded(row: Sequence[str]) -> tuple[str, ...]:
        cells = zip(row, (first, *others), strict=False)
        return (*(printable(cell) + " " * (room - columns(cell)) for cell, room in cells), row[-1])

    session.table(padded(header), [])
    for row in rows:
        if columns(row[0]) > first:
            session.line(row[0])
            row = ("", *row[1:])
        for line in list(table(padded(header), [padded(row)], width=width))[1:]:
            session.line(line)


def _terminal_width(session: Session) -> int:
    try:
        return os.get_terminal_size(session.stdout.fileno()).columns or 80
    except OSError:
        return 80


def readers_text(project: Project, one: Access, names: frozenset[str] | None = None) -> str:
    """Return the readers of a file in few words; those by an old key, and unknown ones, stand out."""
    shown = [reader for reader in one.readers if names is None or reader.name in names]
    said = [in_words(project.registry, (reader.name for reader in shown if reader.state == "active"))]
    said += [_named(reader) for reader in shown if reader.state != "active"]
    said += [f"unknown:{key}" for key in one.unknown]
    text = ", ".join(part for part in said if part) or "nobody"
    return f"{text} ({one.threshold} of {one.groups} groups)" if one.groups > 1 else text


def why_text(reader: Reader) -> str:
    """Return why somebody reads a file, or that nobody said so."""
    if reader.state != "active":
        return f"its {reader.state} key is still in it"
    return "; ".join(reader.why) or "no rule says so"


def detail_lines(project: Project, one: Access) -> Iterator[str]:
    """Yield all that is known of who reads one secret."""
    yield one.path
    if one.problem:
        yield f"  {one.problem}"
        return
    if one.keys is not None:
        clear = f"; {one.clear} more in clear" if one.clear else ""
        yield f"  {_count(len(one.keys), 'encrypted value')}{': ' if one.keys else ''}{', '.join(one.keys)}{clear}"
    if one.groups > 1:
        yield f"  it takes readers of {one.threshold} of its {one.groups} key groups together"
    reasons: dict[str, list[str]] = {}
    for reader in one.readers:
        reasons.setdefault(why_text(reader), []).append(reader.name)
    for why, names in sorted(reasons.items()):
        yield f"  {in_words(project.registry, names)}: {why}"
    for key in one.unknown:
        yield f"  unknown {key}: the registry never named it"
    if one.missing:
        yield f"  {in_words(project.registry, one.missing)}: should read it and cannot"
    yield f"  {RESTS_ON[one.basis]}"


def diff_lines(project: Project, found: AccessDiff) -> Iterator[str]:
    """Yield the changes, a file a block: who gained with "+", who lost with "-"."""
    for change in found.changes:
        yield _title(change)
        for sign, gains in (("+", change.gained), ("-", change.lost)):
            for text in gain_texts(project, change, gains):
                yield f"  {sign} {text}"
    for old, new in found.moved:
        yield f"{new}: moved from {old}, same readers"


def gain_texts(project: Project, change: Change, gains: Sequence[Gain]) -> Iterator[str]:
    """Yield readers in few words; with fingerprints where a name alone would say nothing, or the opposite of the truth."""
    others = {name for gain in (*change.gained, *change.lost) for name in gain.names if gain not in gains}
    plain: set[str] = set()
    for gain in gains:
        if not gain.names:
            yield f"unknown {gain.key}" if ":" in gain.key else gain.key
        elif others.intersection(gain.names):
            yield f"{'/'.join(gain.names)} ({gain.key})"  # another key of the same principal
        else:
            plain.update(gain.names)
    if plain:
        yield in_words(project.registry, plain)


def summary(found: AccessDiff) -> str:
    """Return the whole difference in one line."""
    if not found.changes:
        return "nobody gained or lost access"
    gained = {
        name or gain.key for change in found.changes for gain in change.gained for name in gain.names or ("",)
    }
    lost = {
        name or gain.key for change in found.changes for gain in change.lost for name in gain.names or ("",)
    }
    files = len({change.path for change in found.changes})
    return f"{_count(files, 'secret')} changed: {len(gained)} gained access, {len(lost)} lost access"


def diff_markdown(project: Project, found: AccessDiff, before: str, after: str) -> Iterator[str]:
    """Yield the difference as Markdown: what has the same change is one row."""
    yield f"### Access: {_escaped(before)} → {_escaped(after)}"
    yield ""
    yield f"{summary(found).capitalize()}."
    groups: dict[tuple[str, str], list[str]] = {}
    for change in found.changes:
        effect = tuple(
            "<br>".join(_escaped(text) for text in gain_texts(project, change, gains))
            for gains in (change.gained, change.lost)
        )
        groups.setdefault((effect[0], effect[1]), []).append(_markdown_title(change))
    if groups:
        yield ""
        yield "| secret | gained | lost |"
        yield "| --- | --- | --- |"
    for (gained, lost), titles in groups.items():
        yield f"| {_folded(titles)} | {gained} | {lost} |"
    for text in (*(f"{_code(new)} moved from {_code(old)}, same readers" for old, new in found.moved),):
        yield f"\n- {text}"
    for note in found.notes:
        yield f"\n> {_escaped(note)}"


def table_markdown(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Yield the table of :func:`table_rows` as Markdown."""
    yield "| secret | readers | basis |"
    yield "| --- | --- | --- |"
    for path, basis, readers in rows:
        yield f"| {_code(path)} | {_escaped(readers)} | {basis} |"


def _title(change: Change) -> str:
    said = {"new": "new ", "removed": "removed ", "changed": ""}[change.state] + change.path
    if change.moved_from is not None:
        said += f" (was {change.moved_from})"
    return said if change.keys is None else f"{said}: {', '.join(change.keys)}"


def _markdown_title(change: Change) -> str:
    said = {"new": "new ", "removed": "removed ", "changed": ""}[change.state] + _code(change.path)
    if change.moved_from is not None:
        said += f" (was {_code(change.moved_from)})"
    return said if change.keys is None else f"{said}: {', '.join(_code(key) for key in change.keys)}"


def _folded(titles: list[str]) -> str:
    if len(titles) <= _FOLDED:
        return "<br>".join(titles)
    inside = "<br>".join(titles)
    return f"<details><summary>{len(titles)} secrets</summary>{inside}</details>"


def _escaped(text: str) -> str:
    """Escape what Markdown would take for more than text: a name in a repository must not hide a row, or mention somebody."""
    return (
        _MARKDOWN.sub(r"\\\1", printable(text))
        .replace("\\@", "&#64;")
        .replace("\\&", "&amp;")
        .replace("\\<", "&lt;")
        .replace("\\>", "&gt;")
    )


def _code(text: str) -> str:
    # HTML, as a code span of Markdown cannot hold every text, least of all within a table.
    shown = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<code>{_MARKDOWN.sub(lambda found: f'&#{ord(found[0])};', shown)}</code>"


def _named(reader: Reader) -> str:
    return f"{reader.name} ({reader.state} key)"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


__all__ = [
    "RESTS_ON",
    "detail_lines",
    "diff_lines",
    "diff_markdown",
    "gain_texts",
    "readers_text",
    "summary",
    "table_markdown",
    "table_rows",
    "why_text",
    "write_table",
]
