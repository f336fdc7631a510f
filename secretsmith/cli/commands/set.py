"""``secretsmith set``: store a value from standard input, or asked for on a terminal; never from the command line."""

from __future__ import annotations

from secretsmith.cli.arguments.values import SetParameters
from secretsmith.cli.commands.written import report_written
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations.locate import locate_target
from secretsmith.operations.write_value import prepare_write, store_value
from secretsmith.project import MAX_SECRET_BYTES
from secretsmith.sensitive import Sensitive

_ATTEMPTS = 3


def run(session: Session, given: SetParameters) -> ExitCode:
    """Answer what there is to ask, read the value, write it."""
    project = session.project()
    path = locate_target(project, given.secret, cwd=session.cwd)
    if given.key is not None:
        raise RefusedInput(
            Code.USAGE,
            f"{path} holds one value and no keys; the value is read from standard input",
            hints=(
                f"printf %s VALUE | secretsmith set {path}",
                "a value on the command line is seen by every process",
            ),
        )
    prepared = prepare_write(project, path, to=given.to, accept=given.accept, drop_unknown=given.drop_unknown)
    value = _read_value(session, path, trim=given.trim)
    report_written(session, store_value(project, prepared, value))
    return ExitCode.OK


def _read_value(session: Session, path: str, *, trim: bool) -> Sensitive:
    if session.stdin_is_terminal:
        return _ask_value(session, path)
    value = session.read_stdin(MAX_SECRET_BYTES)
    data = value.expose()
    if trim and data.endswith(b"\n"):
        return Sensitive(data[:-1])
    if data.endswith(b"\n") and data.count(b"\n") == 1:
        session.note("note: the value is one line and its final newline is stored with it; --trim removes it")
    if not data:
        session.note("note: standard input was empty, and so is the value")
    return value


def _ask_value(session: Session, path: str) -> Sensitive:
    flag = "a value on standard input"
    for _ in range(_ATTEMPTS):
        value = session.interaction.passphrase(f"value of {path}", flag=flag)
        if session.interaction.passphrase("once more", flag=flag) == value:
            return value
        session.interaction.notice("the two differ; nothing was stored, try again")
    raise RefusedInput(Code.USAGE, "the two values differ; nothing was stored")
