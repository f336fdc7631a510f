"""Writes the pages of docs/reference that are made from the code: `python docs/generate.py`; a test compares them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from secretsmith.cli.parameters import Kind, Parameter, described, help_text  # noqa: E402
from secretsmith.cli.table import COMMANDS, GROUPS, Command  # noqa: E402

COMMANDS_PAGE = ROOT / "docs" / "reference" / "commands.md"
_INTRODUCTION = """\
# Commands

<!-- Made by docs/generate.py from secretsmith/cli/table.py; edit that. -->

Before the command: `-C DIR` starts in another folder, `--version` prints the version, `--help` (also after a command) explains.
Options take their value as `--name VALUE` or `--name=VALUE` and may stand anywhere after the command; what follows `--` is
never an option. Data goes to standard output, everything else to standard error; questions are only asked on a terminal.
The exit status is one of [these](exit-codes.md)."""


def commands_page() -> str:
    """Return docs/reference/commands.md."""
    single = [command for command in COMMANDS if command.path[0] not in GROUPS]
    lines = [_INTRODUCTION, *(line for command in single for line in _command(command))]
    for group, about in GROUPS.items():
        lines.extend(["", f"## {group}", "", about])
        for command in COMMANDS:
            if command.path[0] == group:
                lines.extend(_command(command, level="###"))
    return "\n".join(lines) + "\n"


def _command(command: Command, level: str = "##") -> Iterator[str]:
    known = described(command.parameters)
    usage = " ".join(["secretsmith", command.name, *(_usage(p) for p in known if p.positional)])
    usage += "".join(f" {_usage(p)}" for p in known if not p.positional)
    yield from ("", f"{level} {command.name}", "", "```text", usage, "```", "", command.help)
    if known:
        yield from ("", "| parameter | |", "|---|---|")
    for parameter in known:
        spelling = _spelling(parameter).replace("|", "\\|")
        yield f"| `{spelling}` | {help_text(parameter)} |"


def _usage(parameter: Parameter) -> str:
    text = _spelling(parameter)
    if parameter.repeats:
        text += "…" if parameter.positional or parameter.required else ""
    return text if parameter.required else f"[{text}]" + ("…" if parameter.kind is Kind.OPTIONS else "")


def _spelling(parameter: Parameter) -> str:
    if parameter.positional:
        return parameter.metavar
    value = "|".join(parameter.choices) or parameter.metavar
    return " | ".join((*parameter.names, *parameter.off)) + (f" {value}" if value else "")


if __name__ == "__main__":
    COMMANDS_PAGE.write_text(commands_page())
