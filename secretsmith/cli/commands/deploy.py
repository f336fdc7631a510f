"""``secretsmith deploy HOST``: print what stands in the way, or the host's own report; exit with the host's code."""

from __future__ import annotations

from secretsmith.activation.templates.rendering import render
from secretsmith.cli.arguments.deploying import DeployParameters
from secretsmith.cli.findingtext import finding_lines, finding_summary
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.deploy.deploying import Wish, deploy


def run(session: Session, given: DeployParameters) -> ExitCode:
    """Deploy. What the host writes to its standard output and error goes to ours."""
    wish = Wish(
        given.host,
        builder=given.builder,
        address=given.address,
        dry_run=given.dry_run,
        rollback=given.rollback,
        bootstrap=given.bootstrap,
        wheels=None if given.wheels is None else session.cwd / given.wheels,
        approve=given.approve,
    )

    def hear(stream: str, text: str) -> None:
        (session.line if stream == "out" else session.note)(text)

    done = deploy(session.project(), wish, render, hear)
    fetched = "would fetch" if given.dry_run else "fetched"
    for value in done.fetched:
        session.note(f"{fetched} {value.source} for {', '.join(value.names)}: {value.reason}")
    if given.dry_run and done.fetched:
        session.note("what the host says is without them")
    for text in finding_lines(done.findings):
        session.note(text)
    if not done.sent:
        session.note(f"{given.host}: {finding_summary(done.findings)}; nothing was sent")
    return done.exit_code


__all__ = ["run"]
