"""What a manifest's ``key`` names in an opened sops document, as the bytes that go into the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NoReturn

from secretsmith.documents.format import Format
from secretsmith.documents.node import Map, Node, Scalar
from secretsmith.documents.sopsopen import OpenDocument
from secretsmith.documents.sopsplain import leaf_text, node_text, plaintext, trees
from secretsmith.documents.tree import TreePath, format_tree_path, parse_tree_path
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.manifest import Output
from secretsmith.sensitive import Sensitive

_FORMATS = {Output.JSON: Format.JSON, Output.YAML: Format.YAML}
_SHOWN = 5  # keys in one message
_LONGEST = 100  # characters of a key that is compared or shown
# Comparing texts is slow: for so many keys of one document it is done, and then no more, whatever the manifest asks.
_COMPARED = 2000


class Picker:
    """One opened document. Its tree is made once, so that each key costs no more than the way to it."""

    def __init__(self, opened: OpenDocument) -> None:
        self._opened = opened
        self._trees = trees(opened) or (Map(),)
        self._below: dict[int, Mapping[str, Node]] = {}
        self._known: dict[tuple[str | None, Output], Sensitive] = {}
        self._comparisons = _COMPARED

    def value(self, key: str | None, output: Output) -> Sensitive:
        """Return what is at ``key`` (None: the whole document), written as ``output`` says.

        A single value is what ``sops decrypt --extract`` prints, but for the line end that sops puts after a number
        in YAML. Equal questions get the same object: a hundred names for one document cost one.

        Raises:
            NotFound: NOT_FOUND; the message names the keys that are near.
            RefusedInput: USAGE for a key that is no path; YAML_SHAPE for a mapping or list without ``output``, or a
                stream of several documents as JSON; what the format cannot hold.
        """
        found = self._known.get((key, output))
        if found is None:
            found = self._known[key, output] = Sensitive(
                self._whole(output) if key is None else self._part(key, output)
            )
        return found

    def _whole(self, output: Output) -> bytes:
        wanted = _FORMATS.get(output, self._opened.file.format)
        if wanted is self._opened.file.format:
            return plaintext(self._opened)
        if len(self._trees) > 1:
            # As sops: the first. But a file with a part of the document looks like all of it to its service.
            raise RefusedInput(
                Code.YAML_SHAPE,
                f"the file is a stream of {len(self._trees)} documents, and JSON holds one",
                hints=('leave out "output", or say "yaml"',),
            )
        return node_text(self._trees[0], wanted)

    def _part(self, key: str, output: Output) -> bytes:
        node = self._find(parse_tree_path(key))
        if output in _FORMATS:
            return node_text(node, _FORMATS[output])
        if isinstance(node, Scalar):
            return leaf_text((node.kind, node.plain), self._opened.file.format)
        names = self._names(node)
        what = "mapping" if isinstance(node, Map) else "list"
        raise RefusedInput(
            Code.YAML_SHAPE,
            f"'{_shown(key)}' is a {what} and no single value",
            hints=(
                f"below it: {_listed(names, f'{key}/')}" if names else "it is empty",
                'for all of it, add to the secret: "output": "json" (or "yaml")',
            ),
        )

    def _find(self, path: TreePath) -> Node:
        node = self._trees[0]
        for depth, segment in enumerate(path):
            names = self._names(node)
            # A name in a list is no place, but a number is a fine key of a mapping.
            below = names.get(str(segment)) if isinstance(node, Map) or isinstance(segment, int) else None
            if below is None:
                self._missing(path, depth, node, names)
            node = below
        return node

    def _names(self, node: Node) -> Mapping[str, Node]:
        """Return what is below a node, by name or place; made once for each node, as asked for."""
        found = self._below.get(id(node))
        if found is None:
            found = self._below[id(node)] = dict(_entries(node))
        return found

    def _missing(self, path: TreePath, depth: int, node: Node, names: Mapping[str, Node]) -> NoReturn:
        above = format_tree_path(path[:depth])
        lead = f"{above}/" if above else ""
        if isinstance(node, Scalar):
            why = f"'{_shown(above)}' is a single value with nothing below it"
        elif not isinstance(node, Map):
            why = f"'{_shown(above)}' is a list of {len(names)}, counted from 0"
        elif near := self._near(str(path[depth]), names):
            why = f"near it: {_listed(near, lead)}"
        else:
            where = f"in '{_shown(above)}' there" if above else "there"
            why = f"{where} is: {_listed(names, lead) or 'nothing'}"
        raise NotFound(Code.NOT_FOUND, f"no key '{_shown(format_tree_path(path))}'; {why}")

    def _near(self, name: str, names: Mapping[str, Node]) -> list[str]:
        # Imported here: it costs more than a document, and only mistakes need it.
        from difflib import get_close_matches

        candidates = [each for each in islice(names, self._comparisons) if len(each) <= _LONGEST]
        self._comparisons -= min(len(names), self._comparisons)
        by_fold = {each.casefold(): each for each in reversed(candidates)}
        near = get_close_matches(name.casefold()[:_LONGEST], list(by_fold), _SHOWN)
        return [by_fold[each] for each in near]


def _entries(node: Node) -> Iterator[tuple[str, Node]]:
    if isinstance(node, Map):
        yield from (entry for entry in node.entries if isinstance(entry, tuple))
    elif not isinstance(node, Scalar):
        items = (item for item in node.items if isinstance(item, Node))
        yield from ((str(place), item) for place, item in enumerate(items))


def _listed(names: Iterable[str], lead: str) -> str:
    first = list(islice(names, _SHOWN + 1))
    # A number is a fine key of a mapping as it stands; what else means something in a path is escaped.
    keys = [name if name.isdecimal() else format_tree_path((name,)) for name in first[:_SHOWN]]
    shown = [f"'{_shown(lead + key)}'" for key in keys]
    return ", ".join(shown) + (", …" if len(first) > _SHOWN else "")


def _shown(text: str) -> str:
    """Return a key for a message: names of a document are public, but may be long or steer a terminal."""
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in short)


__all__ = ["Picker"]
