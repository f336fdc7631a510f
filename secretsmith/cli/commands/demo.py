"""``secretsmith demo``: show the main job on a throw-away fleet."""

from __future__ import annotations

from secretsmith.cli.arguments.repository import DemoParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.demo import run_demo


def run(session: Session, given: DemoParameters) -> ExitCode:
    """Play the demo; what it says is data, so it goes to standard output."""

    def say(text: str) -> None:
        session.line(text)
        session.flush()

    run_demo(say)
    return ExitCode.OK
