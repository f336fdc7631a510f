"""Rendered templates of each format to their shapes.

The errors hold neither keys nor values: in a rendered text both may come out of a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NoReturn

from secretsmith.activation.templates.shape import MAX_DEPTH, Branch, Leaf, Shape, Unreadable
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import TemplateFormat

if TYPE_CHECKING:
    from secretsmith.documents.tree import Document

MAX_CHECKED: Final = 256 * 1024

# Some readers end a line at these, others do not: what is one value here would be two lines there.
_ODD_BREAK: Final = re.compile("\r(?!\n)|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_LINE_SAID: Final = re.compile(r"line (\d+)\b")


class _Number(str):
    """A number of JSON or a float of TOML, as it is written."""

    __slots__ = ()


def read_shape(format: TemplateFormat, text: str) -> Shape:  # noqa: A002  # the manifest's word for it
    """Read ``text``, which is no raw one.

    Raises:
        Unreadable: it is not of this format, or larger (256 KiB), deeper or more ambiguous than can be checked.
    """
    if len(text) > MAX_CHECKED:
        raise Unreadable(f"is larger than can be checked ({MAX_CHECKED // 1024} KiB)")
    if format not in (TemplateFormat.JSON, TemplateFormat.TOML):  # which have line ends that all agree on
        _refuse_odd_breaks(text)
    match format:
        case TemplateFormat.JSON:
            return _json(text)
        case TemplateFormat.TOML:
            return _toml(text)
        case TemplateFormat.YAML:
            return _yaml(text)
        case TemplateFormat.DOTENV:
            return _dotenv(text)
        case TemplateFormat.INI:
            return _ini(text)
        case TemplateFormat.RAW:
            raise ValueError("a raw template has no shape")


def _refuse_odd_breaks(text: str) -> None:
    if found := _ODD_BREAK.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise Unreadable(f"has U+{ord(found[0]):04X}, which only some readers take for a line end", line)


# In each of these the error is raised behind the except clause: the parser's own holds the text.


def _json(text: str) -> Shape:
    import json

    try:
        return _plain(
            json.loads(
                text,
                parse_int=_Number,
                parse_float=_Number,
                parse_constant=_no_number,
                object_pairs_hook=_without_duplicates,
            )
        )
    except json.JSONDecodeError as error:
        # Behind the colon, some of them quote the text.
        failure = Unreadable(
            f"is no JSON ({error.msg.partition(':')[0].removesuffix(' at').lower()})", error.lineno
        )
    except RecursionError:
        failure = Unreadable("nests too deep")
    raise failure


def _no_number(_: str) -> NoReturn:
    raise Unreadable("is no JSON (it has no infinity and no NaN)")


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Readers differ in which of two equal keys wins.
        raise Unreadable("has a key twice in one object")
    return found


def _toml(text: str) -> Shape:
    import tomllib

    try:
        return _plain(tomllib.loads(text, parse_float=_Number))
    except tomllib.TOMLDecodeError as error:
        # The message may quote the text; where it is does not.
        line = _LINE_SAID.search(str(error).rpartition("(")[2])
        failure = Unreadable("is no TOML", int(line[1]) if line else None)
    except (ValueError, RecursionError):  # a number of 5,000 digits, brackets 100,000 deep
        failure = Unreadable("has a number too long, or nests too deep")
    raise failure


def _yaml(text: str) -> Shape:
    from secretsmith.activation.templates.yamlshape import yaml_shape

    try:
        return yaml_shape(text)
    except SecretsmithError as error:
        failure = _said("YAML", error)
    raise failure


def _dotenv(text: str) -> Shape:
    from secretsmith.activation.templates.environmenttext import BadLine, read_environment

    try:
        return _plain(read_environment(text))
    except BadLine as error:
        failure = Unreadable(f"is no dotenv file ({error.why})", error.line)
    raise failure


def _ini(text: str) -> Shape:
    from secretsmith.documents.iniread import read_ini

    try:
        return _sections(read_ini(text.encode("utf-8")))
    except SecretsmithError as error:
        if error.code is Code.EMPTY:
            return Branch((), ())
        failure = _said("INI file", error)
    raise failure


def _sections(document: Document) -> Shape:
    from secretsmith.documents.tree import LeafKind

    found: dict[str, dict[str, str]] = {
        str(each.path[0]): {} for each in document.containers if len(each.path) == 1
    }
    for leaf in document.leaves:
        if leaf.kind is not LeafKind.COMMENT:
            found[str(leaf.path[0])][str(leaf.path[1])] = leaf.plain.decode("utf-8")
    # The section that sops keeps for itself is one like the others here.
    return _plain([found, document.metadata])


def _said(what: str, error: SecretsmithError) -> Unreadable:
    """Take the line of a reader's error, and why only where that cannot hold a key."""
    if error.code is Code.TOO_BIG:
        return Unreadable("is larger than can be checked")
    line = _LINE_SAID.match(error.message)
    safe = error.code is Code.YAML_SYNTAX
    why = error.message.partition(": ")[2] if safe and line else ""
    return Unreadable(
        f"is no {what} that can be checked" + (f" ({why})" if why else ""), line and int(line[1])
    )


def _plain(tree: object, depth: int = 0) -> Shape:
    """Turn what a parser made into a shape."""
    if depth > MAX_DEPTH:
        raise Unreadable(f"nests deeper than {MAX_DEPTH} levels")
    if isinstance(tree, Mapping):
        items = tuple(_plain(item, depth + 1) for item in tree.values())
        return Branch(items, tuple(str(key) for key in tree))
    if isinstance(tree, list | tuple):
        return Branch(tuple(_plain(item, depth + 1) for item in tree))
    if isinstance(tree, str):
        return Leaf(str(tree), bare=isinstance(tree, _Number))
    return Leaf(str(tree), bare=True, exact=False)


__all__ = ["MAX_CHECKED", "read_shape"]
