"""One definition of each command's parameters, read by every door.

A command's parameters are one record. Each field is made by one of the functions below, which put what a door
needs to know (kind, names, metavar, help) into the field's metadata:

    @parameters
    class ShowParameters:
        secret: str = argument("SECRET", "The secret to print.")
        key: str | None = argument("KEY", "A slash path inside it.", default=None)

``light.py`` parses argv from this alone; ``typed.py`` makes typer's signatures of it. Nothing evaluates annotations: the
kind says the type (a test holds the two together), so that the light door need not import what annotations name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, TypeVar, dataclass_transform

from secretsmith.errors import Code, RefusedInput
from secretsmith.record import MISSING, field, fields, record

_METADATA = "secretsmith.parameter"
_C = TypeVar("_C", bound=type[Any])


class Kind(Enum):
    """How a parameter is written on the command line, and with it the type of its value."""

    ARGUMENT = "argument"  # one word: str, or str | None when it may be left out
    MANY = "many"  # all further words: tuple[str, ...]
    OPTION = "option"  # --name VALUE: str, or str | None
    OPTIONS = "options"  # --name VALUE, as often as wanted: tuple[str, ...]
    FLAG = "flag"  # --name: bool
    SWITCH = "switch"  # --name or --no-name: bool | None, None when neither is given


@record
class Parameter:
    """One parameter of a command, as the doors see it.

    ``names`` are the spellings that set it (empty for positional words); ``off`` are those that turn a switch off.
    ``separator`` splits each value of an OPTIONS parameter; ``choices`` are the only values allowed, if not empty.
    ``blank`` allows empty words among MANY.
    """

    field: str
    kind: Kind
    names: tuple[str, ...]
    off: tuple[str, ...]
    metavar: str
    help: str
    default: Any
    required: bool
    separator: str | None = None
    choices: tuple[str, ...] = ()
    blank: bool = False

    @property
    def positional(self) -> bool:
        """Whether it is given by place instead of by name."""
        return self.kind in (Kind.ARGUMENT, Kind.MANY)

    @property
    def repeats(self) -> bool:
        """Whether its value is a tuple."""
        return self.kind in (Kind.MANY, Kind.OPTIONS)


def _field(kind: Kind, default: Any, **facts: Any) -> Any:
    metadata = {_METADATA: {"kind": kind, "names": (), "off": (), "metavar": "", **facts}}
    return field(default=default, metadata=metadata)


def argument(metavar: str, about: str, *, default: Any = MISSING) -> Any:
    """One positional word; required unless a default is given."""
    return _field(Kind.ARGUMENT, default, metavar=metavar, help=about)


def many(metavar: str, about: str, *, default: Any = MISSING, blank: bool = False) -> Any:
    """All further positional words; at least one unless a default is given. Comes last among the positional ones.

    ``blank``: words may be empty, as those of another program's command line.
    """
    return _field(Kind.MANY, default, metavar=metavar, help=about, blank=blank)


def option(
    name: str,
    metavar: str,
    about: str,
    *,
    default: Any = MISSING,
    choices: tuple[str, ...] = (),
) -> Any:
    """A named value, ``--name VALUE``; required unless a default is given."""
    return _field(Kind.OPTION, default, names=(name,), metavar=metavar, help=about, choices=choices)


def options(
    name: str,
    metavar: str,
    about: str,
    *,
    default: Any = MISSING,
    separator: str | None = None,
) -> Any:
    """A named value that may be repeated; ``separator`` also splits each value into several."""
    return _field(Kind.OPTIONS, default, names=(name,), metavar=metavar, help=about, separator=separator)


def flag(name: str, about: str, *, default: bool) -> Any:
    """``--name`` makes it true. Type checkers want to see the default where the field is made."""
    return _field(Kind.FLAG, default, names=(name,), help=about)


def switch(name: str, about: str, *, default: bool | None) -> Any:
    """``--name`` makes it true, ``--no-name`` false; without either it is None: decide by asking or by a rule."""
    off = f"--no-{name.removeprefix('--')}"
    return _field(Kind.SWITCH, default, names=(name,), off=(off,), help=about)


@dataclass_transform(frozen_default=True, field_specifiers=(argument, many, option, options, flag, switch))
def parameters(cls: _C) -> _C:
    """Make ``cls`` a record of parameters."""
    made: Any = record(cls)
    return made  # type: ignore[no-any-return]


def described(cls: type[Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a class made by :func:`parameters`, in order."""
    return tuple(_described(cls))


def _described(cls: type[Any]) -> Iterator[Parameter]:
    for entry in fields(cls):
        facts = entry.metadata[_METADATA]
        required = entry.default is MISSING
        yield Parameter(
            field=entry.name, default=None if required else entry.default, required=required, **facts
        )


def help_text(parameter: Parameter) -> str:
    """Return the help of a parameter with its default, where that is not plain from its kind."""
    if isinstance(parameter.default, str):
        return f"{parameter.help} Default: {parameter.default}."
    return parameter.help


def build(cls: type[Any], known: Iterable[Parameter], raw: Mapping[str, Any]) -> Any:
    """Make the parameter object from what a door read: field name to str, list of str, or bool.

    Fields that are absent get their default. This is the one place where values are split and held against the choices,
    so that all doors agree.

    Raises:
        RefusedInput: USAGE, for a missing parameter, a value that is not among the choices, or an empty name in a list.
    """
    values: dict[str, Any] = {}
    for parameter in known:
        if parameter.field not in raw:
            # The doors check it themselves, but some versions of typer and click do not go together.
            if parameter.required:
                raise _refused(parameter, "is missing")
            continue
        value = raw[parameter.field]
        if parameter.repeats:
            value = tuple(_split(parameter, value))
        elif parameter.choices and value not in (*parameter.choices, parameter.default):
            raise _refused(parameter, f"is one of {', '.join(parameter.choices)}")
        values[parameter.field] = value
    return cls(**values)


def _split(parameter: Parameter, given: Iterable[str]) -> Iterator[str]:
    for text in given:
        parts = [text] if parameter.separator is None else text.split(parameter.separator)
        for part in parts:
            if not part.strip() and not parameter.blank:
                raise _refused(parameter, "was given an empty value")
            yield part if parameter.separator is None else part.strip()


def _refused(parameter: Parameter, reason: str) -> RefusedInput:
    name = parameter.names[0] if parameter.names else parameter.metavar
    return RefusedInput(Code.USAGE, f"{name} {reason}", hints=(f"{name}: {parameter.help}",))


__all__ = [
    "Kind",
    "Parameter",
    "argument",
    "build",
    "described",
    "flag",
    "help_text",
    "many",
    "option",
    "options",
    "parameters",
    "switch",
]
