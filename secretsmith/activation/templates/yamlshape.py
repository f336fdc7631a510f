"""The shape of a YAML text, from the events of its parser: nothing is constructed, and no alias is followed."""

from __future__ import annotations

from typing import Final

from secretsmith.activation.templates.shape import MAX_DEPTH, Branch, Leaf, Shape, Unreadable
from secretsmith.documents.yamlcompose import Event, Stream
from secretsmith.record import field, record

# A text is read twice, and ruamel needs some 35 µs for each.
MAX_EVENTS: Final = 10_000


@record(frozen=False)
class _Open:
    """A mapping, list or document that is being read."""

    kind: str
    mark: str = ""
    items: list[Shape] = field(default_factory=list)


def yaml_shape(text: str) -> Shape:
    """Read ``text``; its documents are the items of a list.

    Raises:
        Unreadable: a key twice or that is no text, an alias without an anchor, nesting too deep, too many values.
        RefusedInput: YAML_SYNTAX, YAML_DEPTH, TOO_BIG.
    """
    builder = _Builder(text)
    for number, event in enumerate(Stream(text.encode("utf-8")).events()):
        if number > MAX_EVENTS:
            raise Unreadable(f"is larger than can be checked ({MAX_EVENTS} keys and values of YAML)")
        builder.take(event)
    return Branch(tuple(builder.documents))


class _Builder:
    def __init__(self, text: str) -> None:
        self._source = text.encode("utf-8")
        self._stack: list[_Open] = []
        self._anchors: set[str] = set()
        self.documents: list[Shape] = []

    def take(self, event: Event) -> None:
        """Take the next event."""
        mark = f"{event.anchor or ''} {event.tag or ''}"
        if event.anchor is not None:
            self._anchors.add(event.anchor)
        match event.kind:
            case "document":
                self._anchors = set()
                self._stack = [_Open("document")]
            case "map" | "list":
                if len(self._stack) > MAX_DEPTH:
                    raise self._wrong(event, f"nests deeper than {MAX_DEPTH} levels")
                self._stack.append(_Open(event.kind, mark))
            case "scalar":
                self._stack[-1].items.append(Leaf(event.text, bare=event.style is None, mark=mark))
            case "alias":
                if event.text not in self._anchors:
                    raise self._wrong(event, "has an alias without an anchor before it")
                self._stack[-1].items.append(Leaf(event.text, bare=True, mark="*"))
            case "end":
                self._close(event)
            case "document end":
                self.documents += self._stack.pop().items

    def _close(self, event: Event) -> None:
        done = self._stack.pop()
        items = tuple(done.items)
        if done.kind == "list":
            shape = Branch(items, mark=done.mark)
        else:
            keys = [key.text for key in items[::2] if isinstance(key, Leaf)]
            if len(keys) < len(items) // 2:
                raise self._wrong(event, "has a mapping or a list for a key")
            if len(set(keys)) < len(keys):
                # Readers differ in which of two equal keys wins.
                raise self._wrong(event, "has a key twice in one mapping that ends here")
            marks = " ".join(key.mark for key in items[::2] if isinstance(key, Leaf))
            shape = Branch(items[1::2], tuple(keys), done.mark + marks)
        self._stack[-1].items.append(shape)

    def _wrong(self, event: Event, why: str) -> Unreadable:
        return Unreadable(why, self._source.count(b"\n", 0, event.start) + 1)


__all__ = ["MAX_EVENTS", "yaml_shape"]
