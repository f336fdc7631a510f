"""``@record``: small typed classes for data, a subset of ``dataclasses`` that costs next to nothing to import.

``dataclasses`` imports ``inspect`` and compiles source text for each class: 7 ms, and 0.8 ms a class, which is most of what a
short command would take (docs/decisions/0009-records.md). Here the methods of all records are the same few functions. Type checkers see
a dataclass (PEP 681). What is left out: ``InitVar``, ``order``, ``unsafe_hash``, ``field(init=False)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from typing import Never

T = TypeVar("T")

_FIELDS: Final = "__record_fields__"


class _Missing:
    """What stands for "no default"."""

    def __repr__(self) -> str:
        return "missing"


MISSING: Final[Any] = _Missing()


class Field:
    """One attribute of a record: how it is made where it is not given, and where it does not show.

    ``metadata`` is for whoever describes it further (the command line does).
    """

    __slots__ = ("compare", "default", "factory", "kw_only", "metadata", "name", "repr")

    def __init__(
        self,
        default: Any = MISSING,
        factory: Callable[[], Any] | None = None,
        *,
        repr: bool = True,  # noqa: A002 the name that dataclasses use
        compare: bool = True,
        kw_only: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = ""
        self.default, self.factory = default, factory
        self.repr, self.compare, self.kw_only = repr, compare, kw_only
        self.metadata: Mapping[str, Any] = metadata or {}

    @property
    def required(self) -> bool:
        """Whether it has to be given."""
        return self.default is MISSING and self.factory is None

    def made(self) -> Any:
        """Return the default, a fresh one where there is a factory; MISSING if it has to be given."""
        return self.default if self.factory is None else self.factory()


def field(
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | None = None,
    repr: bool = True,  # noqa: A002 the name that dataclasses use
    compare: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """Describe an attribute further, as ``dataclasses.field`` does."""
    return Field(default, default_factory, repr=repr, compare=compare, metadata=metadata)


@overload
def record(cls: type[T], /) -> type[T]: ...
@overload
def record(
    cls: None = None, /, *, frozen: bool = True, eq: bool = True, kw_only: bool = False, slots: bool = True
) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(Field, field))
def record(
    cls: type[T] | None = None,
    /,
    *,
    frozen: bool = True,
    eq: bool = True,
    kw_only: bool = False,
    slots: bool = True,
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class with annotated attributes a record: with slots, compared by value, and frozen unless told otherwise.

    ``kw_only`` wants its own attributes by name; without ``slots`` there may be others too (``cached_property``). Two records are equal when they are of the same class and their attributes are; a
    frozen one has a hash.
    """
    if cls is None:
        return lambda given: _make(given, frozen, eq, kw_only, slots)
    return _make(cls, frozen, eq, kw_only, slots)


def _make(cls: type[T], frozen: bool, eq: bool, kw_only: bool, slots: bool) -> type[T]:
    """Return the class anew, since slots can only be given when a class is made."""
    own = _own_fields(cls, kw_only)
    every: dict[str, Field] = {}
    for base in reversed(cls.__mro__[1:]):
        every.update(getattr(base, _FIELDS, {}) if _FIELDS in base.__dict__ else {})
    inherited = set(every)
    every.update(own)
    content = {
        name: value for name, value in cls.__dict__.items() if name not in {*own, "__dict__", "__weakref__"}
    }
    if slots:
        content["__slots__"] = tuple(name for name in own if name not in inherited)
    content[_FIELDS] = every
    content["__match_args__"] = tuple(name for name, one in every.items() if not one.kw_only)
    content.setdefault("__repr__", _repr)
    if eq:
        content.setdefault("__eq__", _equal)
        # As Python does for a class with __eq__ alone: what can change has no hash.
        content.setdefault("__hash__", _hash if frozen else None)
    if frozen:
        content.update(__setattr__=_refuse, __delattr__=_refuse, __getstate__=_state, __setstate__=_set_state)
    kind: Any = type(cls)
    made: Any = kind(cls.__name__, cls.__bases__, content)
    if "__init__" not in cls.__dict__:
        made.__init__ = _initialiser(made, every, slots)
    made.__qualname__ = cls.__qualname__
    return made  # type: ignore[no-any-return]


def _own_fields(cls: type, kw_only: bool) -> dict[str, Field]:
    own: dict[str, Field] = {}
    # inspect.get_annotations would import inspect.
    for name, kind in vars(cls).get("__annotations__", {}).items():
        if str(kind).startswith("ClassVar"):
            continue
        given = cls.__dict__.get(name, MISSING)
        one = given if isinstance(given, Field) else Field(given)
        one.name, one.kw_only = name, kw_only
        if isinstance(one.default, (list, dict, set)):
            raise TypeError(
                f"{cls.__name__}.{name}: a default that can change is shared by all; use default_factory"
            )
        own[name] = one
    return own


def _initialiser(cls: type, every: Mapping[str, Field], slots: bool) -> Callable[..., None]:
    """Return ``__init__``: attributes in their order or by name, then ``__post_init__`` if there is one."""
    ordered = [one for one in every.values() if not one.kw_only] + [
        one for one in every.values() if one.kw_only
    ]
    names = tuple(one.name for one in ordered)
    puts = tuple(getattr(cls, name).__set__ for name in names) if slots else ()
    by_place = sum(not one.kw_only for one in ordered)
    total = len(ordered)
    after = getattr(cls, "__post_init__", None)

    def initialise(self: Any, /, *given: Any, **named: Any) -> None:
        if named or len(given) != total or by_place != total:
            given = _complete(cls, ordered, by_place, given, named)
        if slots:
            for put, value in zip(puts, given, strict=True):
                put(self, value)
        else:
            self.__dict__.update(zip(names, given, strict=True))
        if after is not None:
            after(self)

    initialise.__name__, initialise.__qualname__ = "__init__", f"{cls.__qualname__}.__init__"
    return initialise


def _complete(
    cls: type, ordered: list[Field], by_place: int, given: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, ...]:
    """Return a value for each attribute. Raises TypeError as a function does, naming what is missing or too much."""
    if len(given) > by_place:
        raise TypeError(f"{cls.__name__}() takes {by_place} values, not {len(given)}")
    values = list(given)
    for number in range(len(given)):
        if ordered[number].name in named:
            raise TypeError(f"{cls.__name__}() got two values for {ordered[number].name}")
    used = 0
    for one in ordered[len(given) :]:
        if one.name in named:
            values.append(named[one.name])
            used += 1
        else:
            values.append(one.made())
            if values[-1] is MISSING:
                raise TypeError(f"{cls.__name__}() misses {one.name}")
    if used != len(named):
        names = {one.name for one in ordered}
        raise TypeError(f"{cls.__name__}() has no {', '.join(sorted({*named} - names))}")
    return tuple(values)


def fields(of: Any) -> tuple[Field, ...]:
    """Return the attributes of a record or of its class, in order. Raises TypeError for anything else."""
    found = getattr(of, _FIELDS, None)
    if found is None:
        raise TypeError(f"{type(of).__name__} is no record")
    return tuple(found.values())


def replace(one: T, /, **changes: Any) -> T:
    """Return a copy with other values for some attributes. Raises TypeError for a name that is none."""
    values = {each.name: getattr(one, each.name) for each in fields(one)}
    return type(one)(**{**values, **changes})


def as_dict(one: Any) -> dict[str, Any]:
    """Return a record as a dict of names and values, records, lists, tuples and mappings inside it too."""
    return {each.name: _plain(getattr(one, each.name)) for each in fields(one)}


def _plain(value: Any) -> Any:
    if hasattr(type(value), _FIELDS):
        return as_dict(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


# --- the methods of every record -------------------------------------------------------------------------------------


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name, one in getattr(self, _FIELDS).items() if one.compare)


def _equal(self: Any, other: object) -> bool:
    return NotImplemented if type(other) is not type(self) else _compared(self) == _compared(other)


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _repr(self: Any) -> str:
    shown = (f"{name}={getattr(self, name)!r}" for name, one in getattr(self, _FIELDS).items() if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse(self: object, name: str, *_: object) -> Never:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: the record is frozen")


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in getattr(self, _FIELDS)]


def _set_state(self: Any, values: list[Any]) -> None:
    for name, value in zip(getattr(self, _FIELDS), values, strict=True):
        object.__setattr__(self, name, value)


__all__ = ["MISSING", "Field", "as_dict", "field", "fields", "record", "replace"]
