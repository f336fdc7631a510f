"""Places in the text: hand-made examples, and a walk over tomllib's own result."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secretsmith.policy.positions import Positions, line_column

EXAMPLE = '''# a comment with [brackets] = "and quotes
[secretsmith]
version = 1 # one
  secrets = "a # b"
[hosts."web.1"]
keys = [
  "one", # first
  'two',
  """three
[not.a.table]
""",
]
[[hosts."web.1".retired]]
key = 'x'
[[hosts."web.1".retired]]
key = "y\\"z"
[groups]
a.b = { c = [1, [2, 3]], "d\\u0065" = "=" }
[[rules]]
path = 1.5
[[rules]]
path = 2020-01-01 10:00:00
'''


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("secretsmith",), (2, 2)),
        (("secretsmith", "version"), (3, 1)),
        (("secretsmith", "secrets"), (4, 3)),
        (("hosts", "web.1", "keys"), (6, 1)),
        (("hosts", "web.1", "keys", 0), (7, 3)),
        (("hosts", "web.1", "keys", 1), (8, 3)),
        (("hosts", "web.1", "keys", 2), (9, 3)),
        (("hosts", "web.1", "retired", 0, "key"), (14, 1)),
        (("hosts", "web.1", "retired", 1, "key"), (16, 1)),
        (("groups", "a", "b", "c", 1, 1), (18, 21)),
        (("groups", "a", "b", "de"), (18, 26)),
        (("rules", 0, "path"), (20, 1)),
        (("rules", 1, "path"), (22, 1)),
        (("rules", 1, "readers"), (21, 3)),
        (("nothing",), (1, 1)),
    ],
)
def test_example(path: tuple[str | int, ...], place: tuple[int, int]) -> None:
    tomllib.loads(EXAMPLE)
    assert Positions(EXAMPLE).line_column(path) == place


keys = st.text("ab", min_size=1, max_size=2) | st.sampled_from(["a b", "#", "a.b", "[", "="])
scalars = st.sampled_from(
    ['"x"', "'y'", "1", "2.5", "true", "1999-01-01", '"""m\n# [a]\n"""', "'''n\n'q'''", '"\\""', '"a]"']
)


def quoted(key: str) -> str:
    return key if key.isalpha() else f'"{key}"'


@st.composite
def values(draw: st.DrawFn, depth: int = 0) -> str:
    kind = draw(st.integers(0, 2 if depth < 2 else 0))
    if kind == 1:
        gap = draw(st.sampled_from(["", " ", "\n", " # c ] \n"]))
        return "[" + gap + ("," + gap).join(draw(st.lists(values(depth + 1), max_size=3))) + gap + "]"
    if kind == 2:
        inner = draw(st.dictionaries(keys, values(depth + 1), max_size=2))
        return "{ " + ", ".join(f"{quoted(key)} = {value}" for key, value in inner.items()) + " }"
    return draw(scalars)


@st.composite
def documents(draw: st.DrawFn) -> str:
    text = ""
    for name in draw(st.lists(keys, max_size=4, unique=True)):
        for _ in range(draw(st.integers(1, 2))) if (many := draw(st.booleans())) else range(1):
            text += f"[[t.{quoted(name)}]]\n" if many else f"[ t . {quoted(name)} ]\n"
            for key, value in draw(st.dictionaries(keys, values(), max_size=3)).items():
                text += f"  {quoted(key)}  = {value} # x\n"
    return text


def walk(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        found += walk(child, (*path, key))
    return found


@settings(max_examples=300, deadline=None)
@given(documents())
def test_every_key_and_element_has_its_own_place(text: str) -> None:
    positions = Positions(text)
    for path in walk(tomllib.loads(text)):
        offset = positions.offset(path)
        assert positions.line_column(path) == line_column(text, offset)
        last = path[-1]
        if isinstance(last, str):
            assert text.startswith((last, quoted(last)), offset)
        elif len(path) > 2:
            assert positions.offset(path) > positions.offset(path[:-1]) or len(path) == 3
