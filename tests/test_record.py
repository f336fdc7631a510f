"""Records: what a dataclass would do, without what it costs."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from functools import cached_property
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.record import as_dict, field, fields, record, replace


@record
class Point:
    x: int
    y: int = 2


@record
class Hidden:
    name: str
    value: bytes = field(default=b"", repr=False)
    seen: int = field(default=0, compare=False)


@record(kw_only=True)
class Base:
    name: str
    mode: str = "0400"


@record(kw_only=True)
class Derived(Base):
    source: str
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", self.name)


@record(frozen=False)
class Counter:
    limit: ClassVar[int] = 3
    count: int = 0
    names: list[str] = field(default_factory=list)


@record(slots=False)
class Cached:
    text: str

    @cached_property
    def length(self) -> int:
        return len(self.text)


@dataclasses.dataclass(frozen=True, slots=True)
class Like:
    x: int
    y: int = 2


small = st.integers(-3, 3)


@given(
    given=st.lists(small, max_size=3),
    named=st.dictionaries(st.sampled_from(["x", "y", "z"]), small, max_size=3),
)
def test_takes_what_a_dataclass_takes(given: list[int], named: dict[str, int]) -> None:
    def made(kind: Any) -> tuple[int, int] | None:
        try:
            one = kind(*given, **named)
        except TypeError:
            return None
        return one.x, one.y

    assert made(Point) == made(Like)


@given(st.tuples(small, small), st.tuples(small, small))
def test_equal_when_their_values_are(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (Point(*one) == Point(*other)) == (one == other)
    assert one != other or hash(Point(*one)) == hash(Point(*other))
    like: object = Like(*one)
    assert Point(*one) != like


def test_the_error_names_what_is_wrong() -> None:
    with pytest.raises(TypeError, match=r"Point\(\) misses x"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Point\(\) has no z"):
        Point(1, z=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="two values for x"):
        Point(1, x=3)  # type: ignore[misc]
    with pytest.raises(TypeError, match="takes 2 values, not 3"):
        Point(1, 2, 3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="takes 0 values"):
        Base("a")  # type: ignore[call-arg]


def test_frozen_has_no_way_in() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match=r"Point\.x cannot be changed"):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.x
    with pytest.raises(AttributeError):
        point.new = 3  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        Cached("a").text = "b"  # type: ignore[misc]
    assert not hasattr(point, "__dict__")


def test_what_can_change_has_its_own_defaults_and_no_hash() -> None:
    one, other = Counter(), Counter()
    one.names.append("a")
    one.count += 1
    assert (one.count, other.count, other.names, Counter.limit) == (1, 0, [], 3)
    with pytest.raises(TypeError):
        hash(one)
    with pytest.raises(TypeError, match="use default_factory"):

        @record
        class Shared:
            names: list[str] = []  # noqa: RUF012 the mistake that is refused


def test_a_base_comes_first_and_post_init_last() -> None:
    made = Derived(name="db", source="/db.age")
    assert (made.mode, made.id) == ("0400", "db")
    assert [one.name for one in fields(Derived)] == ["name", "mode", "source", "id"]
    assert replace(made, mode="0440") == Derived(name="db", source="/db.age", mode="0440")
    assert repr(made) == "Derived(name='db', mode='0400', source='/db.age', id='db')"


def test_hidden_is_not_shown_and_uncompared_is_not_compared() -> None:
    assert repr(Hidden("a", b"canary")) == "Hidden(name='a', seen=0)"
    assert Hidden("a", seen=1) == Hidden("a", seen=2) != Hidden("b")
    assert Cached("abc").length == 3


def test_patterns_and_copies() -> None:
    match Point(1, 5):
        case Point(1, y):
            assert y == 5
        case _:
            pytest.fail("did not match")
    for made in (Point(1), Cached("a")):
        assert copy.copy(made) == copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made


def test_replace_and_as_dict() -> None:
    assert replace(Point(1), y=4) == Point(1, 4)
    with pytest.raises(TypeError, match="has no z"):
        replace(Point(1), z=4)
    with pytest.raises(TypeError, match="int is no record"):
        replace(1, z=4)
    assert as_dict(Hidden("a", seen=3)) == {"name": "a", "value": b"", "seen": 3}
    nested = Counter(names=["a"])
    nested.names = [Point(1), (Point(2),), {"k": Point(3)}]  # type: ignore[list-item]
    assert as_dict(nested)["names"] == [{"x": 1, "y": 2}, ({"x": 2, "y": 2},), {"k": {"x": 3, "y": 2}}]


def test_costs_no_import() -> None:
    code = "import sys, secretsmith.record; print(sorted({'dataclasses', 'inspect', 'ast', 'dis'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False, cwd="."
    )
    assert done.stdout.strip() == "[]", done.stderr
