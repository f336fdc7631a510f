"""What changes of YAML texts are checked with: awkward values, and every reader that there is."""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as Composed
from ruamel.yaml.scanner import ScannerError
from sopstrees import data_of

from secretsmith.documents.node import Node, Scalar, document_trees
from secretsmith.documents.scalar import resolve_yaml
from secretsmith.documents.tree import Document, LeafKind, TreePath
from secretsmith.documents.yamlblock import read_block
from secretsmith.documents.yamldoc import YamlCodec
from secretsmith.documents.yamlfull import read_full

CODEC = YamlCodec()

# Every shape that YAML could take for something else.
AWKWARD = (
    *(
        "-",
        "- x",
        "-x",
        "--- ",
        "---",
        "--- x",
        "...",
        "... x",
        "?",
        "? x",
        "?x",
        ":",
        ": x",
        ":x",
        "#",
        "# c",
    ),
    *(
        "a #b",
        "a# b",
        "&a",
        "*a",
        "!t",
        "!!str",
        "%d",
        "%YAML 1.1",
        "@x",
        "`x`",
        "|",
        ">",
        ">-",
        "|+ x",
        "{",
        "}",
    ),
    *(
        "[",
        "]",
        "{}",
        "[]",
        "{a: b}",
        "[a]",
        ",",
        "'",
        '"',
        "it's",
        '"q"',
        "'q'",
        "",
        " ",
        "  ",
        " x",
        "x ",
        "\t",
    ),
    *("\tx", "x\t", "x\ty", "\n", "\n\n", "a\n", "a\nb", "a\nb\n", "a\n\nb\n\n", "\na", " a\nb", "\ta\nb"),
    *(
        "a\n\tb",
        "a \nb",
        "a\n b",
        "a\n b\n  ",
        "# x\ny",
        "a\n#b",
        "a\n# b\n",
        "- a\n- b",
        "k: v\nl: w",
        "k: v",
    ),
    *("a:", "a: b", "a:b", "~", "null", "Null", "true", "True", "yes", "no", "on", "y", "1", "0644", "1_000"),
    *("0x1F", "1e3", ".5", "5.", ".inf", ".nan", "-", "+1", "2019-12-31", "2001-12-14t21:59:43.10-05:00"),
    *(
        "12:30",
        "<<",
        "=",
        "é",
        "\u6f22\u5b57",
        "\U0001f980",
        "\U0001f980\nx",
        "e\u0301",
        "\x00",
        "\x07",
        "\x1b",
    ),
    *(
        "\x7f",
        "\x85",
        "a\x85b",
        "\u2028",
        "a\u2029b",
        "a\n\u2028b",
        "\ufeff",
        "\ufffe",
        "\r",
        "a\rb",
        "a\r\nb",
    ),
    *(
        "\r\n",
        "x" * 3000,
        "word " * 600,
        ("word " * 30 + "\n") * 30,
        "a\\b",
        "a\\nb",
        "'a\n'b",
        '"\n"',
        " \n x",
    ),
    *("\n \n", "a\n...\nb", "a\n---\nb", "---\nb", "|\n x", "x: |\n y", "ENC[x", "ENC[AES256_GCM,x y]"),
    *(
        "ENC[AES256_GCM,data:A==,iv:A=,tag:A=,type:str]",
        "&a b",
        "*",
        "!",
        "%",
        "a\n\n\n",
        "\n\n\na",
        "  a\nb\n c",
    ),
)
OTHER_KINDS = (
    (LeafKind.NULL, b""),
    (LeafKind.BOOLEAN, b"True"),
    (LeafKind.INTEGER, b"-7"),
    (LeafKind.FLOAT, b"1.5"),
    (LeafKind.FLOAT, b"-0"),
    (LeafKind.FLOAT, b"NaN"),
    (LeafKind.FLOAT, b"+Inf"),
    (LeafKind.TIME, b"2019-12-31T00:00:00Z"),
    (LeafKind.STRING, b"\xff\xfe"),
)


def text(value: str) -> Scalar:
    return Scalar(LeafKind.STRING, value.encode())


def number(value: int) -> Scalar:
    return Scalar(LeafKind.INTEGER, str(value).encode())


def tree(document: Document) -> list[object]:
    return [data_of(each) for each in document_trees(document)]


def comments(document: Document) -> list[bytes]:
    return [leaf.raw for leaf in document.leaves if leaf.kind is LeafKind.COMMENT]


def values(document: Document) -> list[tuple[int, TreePath, str, bytes]]:
    """Everything but comments; a float without a fraction is written like an integer."""
    numbers = (LeafKind.INTEGER, LeafKind.FLOAT)
    return [
        (leaf.document, leaf.path, "number" if leaf.kind in numbers else leaf.kind.value, leaf.plain)
        for leaf in document.leaves
        if leaf.kind is not LeafKind.COMMENT
    ]


def read(source: bytes) -> Document:
    """Read with every reader there is; they must agree."""
    document = CODEC.read(source)
    fast = read_block(source)
    if not re.search("[\x85\u2028\u2029]|(?<!^)\ufeff", source.decode(), re.DOTALL):
        full = read_full(source).document()
        assert document == full
        theirs = composed(source)
        assert theirs is None or theirs == tree(document)
    assert fast is None or fast.document() == document
    return document


def composed(source: bytes) -> list[object] | None:
    """What ruamel composes of a text, with scalars resolved as sops resolves them."""
    yaml = YAML(typ="safe", pure=True)
    try:
        found = [_data(node) for node in yaml.compose_all(source.decode("utf-8-sig"))]
    except ScannerError as error:
        # It does not read blank lines of several lengths at the beginning of a block; our use of it does.
        assert "more indented follow up line" in str(error)  # noqa: PT017
        return None
    for each in found:
        if isinstance(each, dict):
            each.pop("sops", None)
    return [{} if each is None or each == "" else each for each in found]


def _data(node: Composed | None) -> Any:
    if isinstance(node, MappingNode):
        return {_text(key): _data(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [_data(item) for item in node.value]
    if not isinstance(node, ScalarNode):
        return None
    tagged = str(node.tag) if str(node.tag).endswith(("binary", "merge")) else None
    if tagged and tagged.endswith("merge"):
        return "<<"
    return data_of(Scalar(*resolve_yaml(node.value, quoted=node.style is not None, tag=tagged)))


def _text(node: Composed) -> str:
    assert isinstance(node, ScalarNode)
    return str(node.value)


def inserted(source: str, path: TreePath, value: Node) -> str:
    document = CODEC.read(source.encode())
    before = tree(document)
    out = document.splice(CODEC.insert(document, path, value))
    after = read(out)
    assert tree(after) == [updated(before[0], path, data_of(value)), *before[1:]]
    return out.decode()


def removed(source: str, path: TreePath) -> str:
    document = CODEC.read(source.encode())
    expected: Any = tree(document)
    out = document.splice(CODEC.remove(document, path))
    node = expected[0]
    for step in path[:-1]:
        node = node[step]
    del node[path[-1]]
    assert tree(read(out)) == expected
    return out.decode()


def updated(found: object, path: TreePath, value: object) -> object:
    step, rest = path[0], path[1:]
    if isinstance(found, list):
        assert isinstance(step, int)
        items = [*found, None] if step >= len(found) else list(found)
        step = min(step, len(found))
        items[step] = updated(items[step], rest, value) if rest else value
        return items
    if not isinstance(found, dict) and isinstance(step, int):
        return [updated(None, rest, value) if rest else value]
    entries = dict(found) if isinstance(found, dict) else {}
    entries[str(step)] = updated(entries.get(str(step)), rest, value) if rest else value
    return entries


X = text("x")

__all__ = [
    "AWKWARD",
    "CODEC",
    "OTHER_KINDS",
    "X",
    "comments",
    "composed",
    "inserted",
    "number",
    "read",
    "removed",
    "text",
    "tree",
    "updated",
    "values",
]
