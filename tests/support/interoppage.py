"""docs/reference/interop.md: which cells it has, running them, writing them down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from interopbench import KINDS, ROOT, Bench, Failed, Kind, Programs
from interopcells import (
    AGE_COLUMNS,
    DOCUMENT_COLUMNS,
    FORMATS,
    UNREGISTERED_COLUMNS,
    AgeFiles,
    Columns,
    Documents,
    Unregistered,
)

PAGE = ROOT / "docs" / "reference" / "interop.md"
SOPS = {"sops": "3.11", "sops-3.13": "3.13"}
"""Program → the version that it has to be."""


@dataclass(frozen=True)
class Known:
    """A failure that a reader of the page can look up: what is seen, and why."""

    label: str
    failed: Failed
    why: str


KNOWN = (
    Known(
        "sops-key",
        Failed("sops", 128, "Failed to get the data key required to decrypt the SOPS file."),
        "sops has no key for it. It uses an ssh key for `ssh-…` recipients alone; for `age1…` of an ssh key it wants the"
        " converted private key (`ssh-to-age -private-key`) in `SOPS_AGE_KEY_FILE`. secretsmith does with the ssh key.",
    ),
    Known(
        "groups",
        Failed(
            "secretsmith", 5, "secretsmith: error: secrets/app.yaml: none of the identities opens this document"
        ),
        "Two groups are needed and the keys at hand open one; a hint says so.",
    ),
    Known(
        "groups-rekey",
        Failed("secretsmith", 5, "secretsmith: error: no identity here opens secrets/app.yaml"),
        "The same, found before anything is written.",
    ),
    Known(
        "age-key",
        Failed("age", 1, "age: error: no identity matched any of the recipients"),
        "age, too, uses an ssh key for `ssh-…` recipients alone. secretsmith writes `.age` files for those unless told"
        " otherwise: `secretsmith rekey --form native`.",
    ),
    Known(
        "age-document",
        Failed("age", 1, "age: error: failed to read header: parsing age header: unexpected intro: …"),
        "A document is no age file; only its data key is.",
    ),
    Known(
        "sops-age",
        Failed("sops", 1, "Error unmarshalling input json: invalid character 'a' looking for beginning of value"),
        "An age file is no document; `age -d` opens it.",
    ),
    Known(
        "sops-newer-age",
        Failed("sops", 1, "Could not unmarshal input data: invalid character 'a' looking for beginning of value"),
        "As before, in other words.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row of a table; ``run`` gives what became of each cell. ``sops`` is the program it is run with."""

    slug: str
    table: str
    title: str
    sops: str
    columns: Columns
    made: Callable[[Bench], object]
    kinds: tuple[Kind, ...]

    def run(self, folder: Path, programs: Programs) -> list[Failed | None]:
        """Run every cell, with each kind; all kinds of one row have to agree."""
        found: list[list[Failed | None]] = []
        for kind in self.kinds:
            place = folder / kind.slug
            place.mkdir()
            cells = self.made(Bench(place, kind, programs))
            found.append([_outcome(getattr(cells, method)) for method in self.columns.values()])
        assert all(each == found[0] for each in found), found
        return found[0]


def _outcome(cell: Callable[[], None]) -> Failed | None:
    try:
        cell()
    except Failed as failed:
        return failed
    return None


def _document_rows(slug: str, about: str, columns: Columns, cells: type[Documents]) -> Iterator[Row]:
    (converted,) = (kind for kind in KINDS if kind.slug == "converted")
    for sops, version in SOPS.items():
        wanted = [("YAML", kind) for kind in KINDS] + [(name, converted) for name in list(FORMATS)[1:]]
        for name, kind in wanted:
            yield Row(
                f"{slug}-{version}-{name}-{kind.slug}",
                f"{about}, and sops {version}",
                f"{name}; {kind.title}",
                sops,
                columns,
                partial(cells, kept=FORMATS[name]),
                (kind,),
            )


def _rows() -> Iterator[Row]:
    yield from _document_rows("repository", "Documents in a repository", DOCUMENT_COLUMNS, Documents)
    yield from _document_rows(
        "unregistered", "Documents without a registry", UNREGISTERED_COLUMNS, Unregistered
    )
    flat = tuple(kind for kind in KINDS if not kind.threshold)
    for kind in flat:
        yield Row(
            f"age-{kind.slug}", "`.age` files, and age", kind.title, "sops", AGE_COLUMNS, AgeFiles, (kind,)
        )
    table, opens = "The program that a file is not for", "opens it"
    document = partial(Documents, kept=FORMATS["YAML"])
    yield Row("age-opens-document", table, "age, a document", "sops", {opens: "age_reads"}, document, flat)
    for sops, version in SOPS.items():
        title = f"sops {version}, an `.age` file"
        yield Row(f"sops-{version}-opens-age", table, title, sops, {opens: "sops_reads"}, AgeFiles, flat)


ROWS = tuple(_rows())


def line_of(row: Row, outcomes: list[Failed | None]) -> str:
    """Write one row; what is not among :data:`KNOWN` shows as it is."""
    labels = {known.failed: known.label for known in KNOWN}
    cells = [
        "yes" if failed is None else f"no [^{labels[failed]}]" if failed in labels else f"**{failed}**"
        for failed in outcomes
    ]
    return f"| {' | '.join((row.title, *cells))} |"


_INTRODUCTION = """\
# What works with sops and age

<!-- Made by `python tests/interop/matrix.py --write`, which runs every cell; a test runs them again and compares. -->

Each cell was run with the real programs, sops 3.11 and 3.13 and age 1, and with the keys that its row names: first how the
readers are written in the file, then what the person at the keyboard has. All programs find those keys in the variables that sops
knows (`SOPS_AGE_KEY_FILE`, `SOPS_AGE_SSH_PRIVATE_KEY_FILE`); age is given them with `-i`. "no" has the program that refuses, its exit code
and its words in a note.

- **reads**: what the other program wrote comes out, all of it and one value alone, the MAC checked.
- **updates**: changes one value of what the other program wrote, and the other then reads all of it.
- **rekeys**, **updates keys**: adds a reader to what the other wrote (`secretsmith rekey`, `sops updatekeys`). The other program then
  opens it as the old reader and as the new one.
- **rotates**: gives what the other wrote a new data key, and the other reads it.
- **writes anew**: age cannot change a file; `age -d` and `age -r` do it in two steps.
"""


def page(line: Callable[[Row], str]) -> str:
    """Give the page, with what ``line`` has for each row."""
    text, table = [_INTRODUCTION], ""
    for row in ROWS:
        if row.table != table:
            table = row.table
            head = ("", *row.columns)
            text += ["", f"## {table}", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        text.append(line(row))
    return "\n".join([*text, *_notes("\n".join(text))]).replace("\n\n\n", "\n\n") + "\n"


def _notes(text: str) -> Iterator[str]:
    for known in KNOWN:
        if f"[^{known.label}]" in text:
            failed = known.failed
            yield from (
                "",
                f"[^{known.label}]: {failed.program} exits {failed.exit}: `{failed.line}`",
                f"    {known.why}",
            )


def lines_of(text: str) -> Mapping[tuple[str, str], str]:
    """Read the rows of a page, by table and title."""
    found, table = {}, ""
    for line in text.splitlines():
        if line.startswith("## "):
            table = line[3:]
        elif line.startswith("| ") and not line.startswith("|  |"):
            found[table, line[2:].partition(" | ")[0]] = line
    return found


__all__ = ["KNOWN", "PAGE", "ROWS", "SOPS", "Row", "line_of", "lines_of", "page"]
