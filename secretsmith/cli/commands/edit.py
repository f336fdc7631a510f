"""``secretsmith edit``: a secret in the user's editor, in memory only."""

from __future__ import annotations

from secretsmith.cli.arguments.values import EditParameters
from secretsmith.cli.commands.written import report_written
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.edit import edit_secret
from secretsmith.operations.editor import Editor
from secretsmith.operations.locate import locate_target
from secretsmith.operations.write_value import prepare_write


def run(session: Session, given: EditParameters) -> ExitCode:
    """Answer what there is to ask, open the editor, write what changed."""
    project = session.project()
    path = locate_target(project, given.secret, cwd=session.cwd)

    def about_to_run(editor: Editor) -> None:
        if not editor.known:
            session.note(
                f"note: {editor.name} is not known here; see to it that it keeps no backup or swap files elsewhere"
            )
        session.flush()

    prepared = prepare_write(project, path, to=given.to, accept=given.accept, drop_unknown=given.drop_unknown)
    edited = edit_secret(
        project,
        prepared,
        keep_newline=given.keep_newline,
        environ=session.environ,
        before_editor=about_to_run,
    )
    for note in edited.notes:
        session.note(f"note: {note}")
    if edited.written is not None:
        report_written(session, edited.written)
    return ExitCode.OK
