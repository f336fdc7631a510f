"""``secretsmith set``: store a value from standard input, or asked for on a terminal; never from the command line."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TypeVar

from secretsmith.cli.arguments.values import SetParameters
from secretsmith.cli.commands.written import report_written
from secretsmith.cli.places import in_repository
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations.locate import locate_target
from secretsmith.operations.write_document import (
    Change,
    open_document,
    refuse_key,
    store_document,
    with_text,
    with_value,
)
from secretsmith.operations.write_value import PreparedWrite, Written, prepare_write, store_value
from secretsmith.project import MAX_SECRET_BYTES, Project
from secretsmith.sensitive import Sensitive

_ATTEMPTS = 3
_T = TypeVar("_T")


def run(session: Session, given: SetParameters) -> ExitCode:
    """Answer what there is to ask, read the value, write it."""
    if given.json and given.key is None:
        raise RefusedInput(
            Code.USAGE,
            "--json is for one value of a document",
            hints=(f"name it: secretsmith set {shlex.quote(given.secret)} KEY --json",),
        )
    project = in_repository(session, given.secret, creating=True)
    if project is None:
        report_written(session, _set_in_file(session, given))
        return ExitCode.OK
    path = locate_target(project, given.secret, cwd=session.cwd)
    if path.endswith(".age") and given.key is not None:
        raise RefusedInput(
            Code.USAGE,
            f"{path} holds one value and no keys; the value is read from standard input",
            hints=(
                f"printf %s VALUE | secretsmith set {shlex.quote(path)}",
                "a value on the command line is seen by every process",
            ),
        )
    prepared = prepare_write(project, path, to=given.to, accept=given.accept, drop_unknown=given.drop_unknown)
    if prepared.is_document:
        written = _set_in_document(session, project, prepared, given)
    else:
        written = store_value(project, prepared, _read_value(session, path, given, _as_it_is))
    report_written(session, written)
    return ExitCode.OK


def _set_in_document(
    session: Session, project: Project, prepared: PreparedWrite, given: SetParameters
) -> Written:
    if given.key is not None:
        refuse_key(prepared, given.key)
    elif session.stdin_is_terminal:
        raise _no_terminal(prepared.path)
    write = open_document(project, prepared)

    def changed(value: Sensitive) -> Change:
        if given.key is None:
            try:
                return with_text(write, value)
            except RefusedInput as error:
                one = f"secretsmith set {shlex.quote(prepared.path)} KEY"
                raise error.with_hints(
                    f"the input is taken for the whole text; for one value: {one}"
                ) from None
        return with_value(write, given.key, value, json=given.json)

    return store_document(project, write, _read_value(session, prepared.path, given, changed))


def _set_in_file(session: Session, given: SetParameters) -> Written:
    """Change a document that no registry knows."""
    from secretsmith.operations.ownkeys import own_keys  # only such files need what no project has
    from secretsmith.operations.unmanaged import set_in_file

    if given.to:
        raise RefusedInput(
            Code.USAGE,
            f"{given.secret}: --to is for the secrets of a repository, and this is none",
            hints=("secretsmith init, or secretsmith encrypt --age RECIPIENT",),
        )
    if given.key is None and session.stdin_is_terminal:
        raise _no_terminal(given.secret)
    value = _read_value(session, given.secret, given, _as_it_is)
    ring, open_pgp = own_keys(session.environ, session.interaction, session.cwd)
    return set_in_file(
        session.cwd / given.secret,
        given.secret,
        ring,
        given.key,
        value,
        environ=session.environ,
        cwd=session.cwd,
        interaction=session.interaction,
        json=given.json,
        open_pgp=open_pgp,
    )


def _as_it_is(value: Sensitive) -> Sensitive:
    return value


def _no_terminal(path: str) -> RefusedInput:
    name = shlex.quote(path)
    return RefusedInput(
        Code.USAGE,
        f"{path} is a document: its text is read from a pipe, and is not asked for",
        hints=(f"one value of it: secretsmith set {name} KEY", f"secretsmith edit {name}"),
        path=path,
    )


def _read_value(
    session: Session,
    path: str,
    given: SetParameters,
    use: Callable[[Sensitive], _T],
) -> _T:
    """Return what ``use`` makes of the value; on a terminal it may refuse it before it is asked for once more."""
    if session.stdin_is_terminal:
        name = path if given.key is None else f"{given.key} in {path}"
        return _ask_value(session, f"{'JSON ' if given.json else ''}value of {name}", use)
    value = session.read_stdin(MAX_SECRET_BYTES)
    data = value.expose()
    if given.trim and data.endswith(b"\n"):
        value = Sensitive(data[:-1])
    elif given.json or (given.key is None and not path.endswith(".age")):
        pass  # JSON and whole documents end in a newline, and have none for it
    elif data.endswith(b"\n") and data.count(b"\n") == 1:
        session.note("note: the value is one line and its final newline is stored with it; --trim removes it")
    elif not data:
        session.note("note: standard input was empty, and so is the value")
    return use(value)


def _ask_value(session: Session, question: str, use: Callable[[Sensitive], _T]) -> _T:
    flag = "a value on standard input"
    for _ in range(_ATTEMPTS):
        value = session.interaction.passphrase(question, flag=flag)
        used = use(value)
        if session.interaction.passphrase("once more", flag=flag) == value:
            return used
        session.interaction.notice("the two differ; nothing was stored, try again")
    raise RefusedInput(Code.USAGE, "the two values differ; nothing was stored")
