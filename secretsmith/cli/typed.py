"""The door for people: typer, with its help, its checks and its "did you mean".

The app is made from the same table as the light door's: for each command a function whose signature is generated from
the parameters. The functions only record what was read; the command runs after typer is done, under the door's one error
boundary. typer's public interface only: which click is underneath differs between its versions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, NoReturn

import typer

from secretsmith import __version__
from secretsmith.cli.parameters import Kind, Parameter, build, described, help_text
from secretsmith.cli.render import PROGRAM
from secretsmith.cli.table import COMMANDS, GROUPS, Command, Invocation
from secretsmith.errors import Code, ExitCode, RefusedInput

_SETTINGS = {"help_option_names": ["--help", "-h"]}
_HELP = "Secrets in git for people with their own servers."


class _Reading:
    """What typer's callbacks found out; one for each app."""

    def __init__(self) -> None:
        self.directory: str | None = None
        self.command: Command | None = None
        self.raw: dict[str, Any] = {}


def parse(argv: Sequence[str], commands: Iterable[Command] = COMMANDS) -> Invocation | ExitCode:
    """Read the words after the program's name; an exit code when help or the version was printed instead.

    Raises:
        RefusedInput: USAGE, with typer's explanation and the command that shows the help.
    """
    words, commands = list(argv), tuple(commands)
    if not words or (
        len(words) == 1 and words[0] in GROUPS and not any(c.path == tuple(words) for c in commands)
    ):
        words.append("--help")
    reading = _Reading()
    app = typer.main.get_command(make_app(reading, commands))
    try:
        outcome = app.main(words, prog_name=PROGRAM, standalone_mode=False)
    except Exception as error:
        _refuse(error)
    if reading.command is None:
        return ExitCode(outcome) if isinstance(outcome, int) else ExitCode.OK
    parameters = reading.command.parameters
    given = build(parameters, described(parameters), reading.raw)
    return Invocation(reading.command, given, reading.directory)


def make_app(reading: _Reading, commands: Iterable[Command]) -> typer.Typer:
    """Return the typer app of these commands; its callbacks write into ``reading``."""
    app = _typer(_HELP)
    app.callback(help=_HELP)(_global_options(reading))
    groups = {name: _typer(text) for name, text in GROUPS.items()}
    for name, group in groups.items():
        app.add_typer(group, name=name)
    for command in commands:
        record = _recorder(command, reading)
        if command.path[0] not in groups:
            app.command(command.path[0], help=command.help, context_settings=_SETTINGS)(record)
        elif len(command.path) == 2:
            groups[command.path[0]].command(command.path[1], help=command.help, context_settings=_SETTINGS)(
                record
            )
        else:  # a group that does something by itself: debt, and debt clear
            groups[command.path[0]].callback(invoke_without_command=True, help=command.help)(record)
    return app


def _typer(text: str) -> typer.Typer:
    return typer.Typer(
        help=text,
        add_completion=False,
        pretty_exceptions_enable=False,  # they print source lines, and the door has its own boundary
        rich_markup_mode=None,  # plain help: it is read in pipes, logs and by screen readers
        context_settings=_SETTINGS,
    )


def _global_options(reading: _Reading) -> Callable[..., None]:
    def show_version(value: bool) -> None:
        if value:
            typer.echo(f"{PROGRAM} {__version__}")
            raise typer.Exit

    def callback(directory: str | None, version: bool) -> None:
        del version
        reading.directory = directory

    directory = typer.Option("-C", metavar="DIR", help="Start in this folder.", show_default=False)
    version = typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    _sign(
        callback,
        {"directory": (Annotated[str | None, directory], None), "version": (Annotated[bool, version], False)},
    )
    return callback


def _recorder(command: Command, reading: _Reading) -> Callable[..., None]:
    known = described(command.parameters)

    def record(**values: Any) -> None:
        if reading.command is not None and any(
            reading.raw.get(p.field, p.default) != p.default for p in described(reading.command.parameters)
        ):
            raise RefusedInput(
                Code.USAGE,
                f"{reading.command.name} has options of its own: {command.name} takes none of them",
                hints=(f"see {PROGRAM} {command.name} --help",),
            )
        reading.command = command
        # What is absent is None, or an empty list, by typer's version; the default is ours to give.
        reading.raw = {
            p.field: values[p.field] for p in known if values[p.field] is not None and values[p.field] != []
        }

    _sign(record, {p.field: _annotated(p) for p in known})
    return record


def _annotated(parameter: Parameter) -> tuple[Any, Any]:
    """Return the annotation and default that make typer read ``parameter``."""
    info: Any
    if parameter.positional:
        info = typer.Argument(metavar=parameter.metavar, help=parameter.help, show_default=False)
    else:
        names = ["/".join((*parameter.names, *parameter.off))]
        metavar = "|".join(parameter.choices) or parameter.metavar or None
        info = typer.Option(*names, metavar=metavar, help=help_text(parameter), show_default=False)
    default = inspect.Parameter.empty if parameter.required else parameter.default
    match parameter.kind:
        case Kind.MANY | Kind.OPTIONS:
            optional: Any = list[str] if parameter.required else list[str] | None
            return Annotated[optional, info], default if parameter.required else None
        case Kind.FLAG:
            return Annotated[bool, info], default
        case Kind.SWITCH:
            return Annotated[bool | None, info], default
        case Kind.ARGUMENT | Kind.OPTION:
            return Annotated[
                str if isinstance(default, str) or parameter.required else str | None, info
            ], default


def _sign(function: Callable[..., None], fields: dict[str, tuple[Any, Any]]) -> None:
    """Give ``function`` the signature typer reads: name to annotation and default, all by keyword."""
    function.__annotations__ = {name: annotation for name, (annotation, _) in fields.items()}
    signature = inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for name, (annotation, default) in fields.items()
        ]
    )
    vars(function)["__signature__"] = signature


def _refuse(error: Exception) -> NoReturn:
    """Raise typer's usage errors as ours; they are known by what they can do, as their class is no public name."""
    explain = getattr(error, "format_message", None)
    if explain is None:
        raise error
    message, _, guess = str(explain()).partition(" Did you mean ")
    context = getattr(error, "ctx", None)
    # typer and click may both have guessed: the first one will do.
    hints = [f"did you mean {guess.partition('?')[0]}?"] if guess else []
    hints.append(f"see {getattr(context, 'command_path', PROGRAM)} --help")
    message = message.strip().rstrip(".")
    raise RefusedInput(Code.USAGE, message[:1].lower() + message[1:], hints=hints) from error


__all__ = ["make_app", "parse"]
