"""Random documents for properties that are tried on the real sops, many trees to a document: a process costs more."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from secretsmith.documents.codec import codec_of
from secretsmith.documents.format import Format
from secretsmith.documents.node import Comment, List, Map, Node, Scalar
from secretsmith.documents.scalar import plain_of
from secretsmith.documents.tree import LeafKind
from secretsmith.errors import RefusedInput

WORDS = [
    *("alpha", "Øre", "smörgås", "漢字", "🦀", "a b", "x-y", "n.m", "UPPER", "k_unencrypted", "port"),
    *(
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "true",
        "False",
        "null",
        "~",
        "0x1F",
        "0644",
        "1_000",
        "1e3",
        ".5",
        "12:30",
    ),
    *(
        "2020-01-01",
        "2001-12-14T21:59:43Z",
        "=",
        "-",
        "?",
        "- a",
        "a: b",
        "a #b",
        "#c",
        "&a",
        "*a",
        "!t",
        "|",
        ">",
        "%",
    ),
    *(
        "@x",
        "`x`",
        "'q'",
        '"q"',
        "it's",
        "{a}",
        "[b]",
        ",",
        "a,b",
        " lead",
        "trail ",
        "\ttab",
        "C:\\dir",
        "ENC[x]",
        "...",
    ),
    *(
        "<a href>",
        "&amp;",
        "\x7f",
        "a\tb",
        "é\u0301",
        "$HOME",
        "${x}",
        "%d",
        "100%",
        "+1",
        "0b1",
        "1.",
        "-0",
    ),
]
LINES = [
    "\u2028",
    "one\ntwo\n",
    "one\n\ntwo",
    "\n",
    "end\n\n\n",
    " lead\n  more\n",
    "a \nb \n",
    "crlf\r\nx\r\n",
    "# no\n- x: 1\n",
    "x\n\ty\n",
]


class Trees:
    """Makes trees of one format. The same seed makes the same trees.

    ``in_clear``: values may stay in clear, so texts are left out that sops, which seals them well, damages when
    it writes them in clear. With go-yaml that is several lines of which the first is empty or indented (in a list
    the indentation is wrong: sops cannot read what it wrote; after a tab it is null), and U+2028, a line end to
    it and to no other. Without it no key makes a value stay in clear.
    """

    def __init__(self, kind: Format, seed: int, *, in_clear: bool = True) -> None:
        self.kind = kind
        self._in_clear = in_clear
        self._random = random.Random(f"{kind} {seed}")

    def make(self, count: int) -> list[Map]:
        """Make so many trees, each of which the format can hold."""
        makers: dict[Format, Callable[[], Map]] = {Format.DOTENV: self._flat, Format.INI: self._flat}
        maker = makers.get(self.kind, self._map)
        found: list[Map] = []
        while len(found) < count:
            tree = maker()
            try:
                codec_of(self.kind).build(joined(self.kind, [tree]), None)
            except RefusedInput:
                continue
            found.append(tree)
        return found

    def _text(self) -> str:
        text = self._any_text()
        if self.kind is Format.YAML and self._in_clear:
            text = text.replace("\u2028", "").lstrip(" \t\n") if "\n" in text or "\u2028" in text else text
        return text

    def _any_text(self) -> str:
        choose = self._random.random()
        if choose < 0.5:
            return self._random.choice(WORDS)
        if choose < 0.6:
            return self._random.choice(LINES)
        if choose < 0.65:
            return ""
        if choose < 0.9:
            return "".join(
                self._random.choice("abcXYZ019 _-.:/+=#'\"\\{}[],&*!|>%@")
                for _ in range(self._random.randrange(1, 40))
            )
        return "".join(
            chr(self._random.choice((65, 233, 0x4E2D, 0x1F980, 10, 32)))
            for _ in range(self._random.randrange(1, 9))
        )

    def _flat(self) -> Map:
        entries: list[tuple[str, Node] | Comment] = []
        for number in range(self._random.randrange(1, 8)):
            if self._random.random() < 0.15:
                entries.append(Comment(b" note"))
            suffix = "_unencrypted" if self._random.random() < 0.2 else ""
            key = f"{self._random.choice(('K', 'key', 'a.b', 'x-y'))}{number}{suffix}"
            text = self._text()
            if suffix and self.kind is Format.INI:
                # sops writes quotes, and a backslash at the end, bare, and reads something else than it wrote.
                text = re.sub(r"[^a-z0-9:/.]", "", text)
            entries.append((key, Scalar(LeafKind.STRING, text.encode())))
        return Map(entries)

    def _map(self, depth: int = 0) -> Map:
        entries: dict[str, Node | Comment] = {}
        for number in range(self._random.randrange(0 if depth else 1, 5)):
            if self.kind is Format.YAML and self._random.random() < 0.15:
                entries[f"\0{number}"] = Comment(
                    self._random.choice((b" note", b"tight", b" # two", b" k: v"))
                )
            key = self._random.choice(WORDS) if self._random.random() < 0.7 else f"key{number}"
            if key.endswith("_unencrypted") and not self._in_clear:
                key = "sops"
            if key == "sops" and not depth:
                continue
            entries[key] = self._node(depth + 1)
        if entries and isinstance(list(entries.values())[-1], Comment):
            entries["last"] = self._node(3)
        return Map([node if isinstance(node, Comment) else (key, node) for key, node in entries.items()])

    def _node(self, depth: int) -> Node:
        choose = self._random.random()
        if depth < 4 and choose < 0.2:
            return self._map(depth)
        if depth < 4 and choose < 0.35:
            return List([self._node(depth + 1) for _ in range(self._random.randrange(4))])
        return self._scalar()

    def _scalar(self) -> Scalar:
        choose = self._random.randrange(12)
        if choose == 0:
            return Scalar(LeafKind.NULL)
        if choose == 1:
            return _scalar(LeafKind.BOOLEAN, self._random.random() < 0.5)
        if choose in (2, 3):
            digits = 2**53 if self.kind is Format.JSON else 2**63
            return _scalar(
                LeafKind.INTEGER,
                self._random.choice((0, 1, -1, digits - 1, self._random.randrange(-digits, digits))),
            )
        if choose in (4, 5):
            return _scalar(LeafKind.FLOAT, self._float())
        if choose == 6 and self.kind is Format.YAML:
            text = self._random.choice(
                ("2019-12-31T00:00:00Z", "2001-12-14T21:59:43.1-05:00", "2021-03-04T05:06:07Z")
            )
            return _scalar(LeafKind.TIME, text)
        return Scalar(LeafKind.STRING, self._text().encode())

    def _float(self) -> float:
        known = [0.1, 1.5, -2.5e-7, 1e21, 123456789.125, 5e-324, 1.7976931348623157e308, 1e-6, 3.0, 2.0**70]
        if self.kind is Format.YAML and self._random.random() < 0.1:
            return self._random.choice((float("inf"), float("-inf")))
        return self._random.choice(
            [*known, self._random.uniform(-1e6, 1e6), self._random.lognormvariate(0, 50)]
        )


def _scalar(kind: LeafKind, value: object) -> Scalar:
    assert isinstance(value, str | int | float)
    return Scalar(kind, plain_of(kind, value))


def joined(kind: Format, trees: list[Map]) -> Map:
    """Put many trees into one document of the format."""
    if kind is Format.DOTENV:
        entries: list[tuple[str, Node] | Comment] = []
        for number, tree in enumerate(trees):
            entries += [
                each if isinstance(each, Comment) else (f"T{number}_{each[0]}", each[1])
                for each in tree.entries
            ]
        return Map(entries)
    return Map([(f"t{number}", tree) for number, tree in enumerate(trees)])


__all__ = ["Trees", "joined"]
