"""A session of the command line without a process: streams in memory, a scripted person."""

from __future__ import annotations

import io
from pathlib import Path

from people import Scripted

from secretsmith.cli.session import Session
from secretsmith.interaction import Interaction, NoInteraction


class Recorded:
    """A session in ``folder``; what it wrote is in ``out`` and ``err``."""

    def __init__(
        self,
        folder: Path,
        environ: dict[str, str],
        *,
        answers: list[str | bool] | None = None,
        stdin: bytes = b"",
    ) -> None:
        self.stdout, self.stderr = io.BytesIO(), io.BytesIO()
        self.person = Scripted(answers or [])
        interaction: Interaction = NoInteraction() if answers is None else self.person
        self.session = Session(
            cwd=folder,
            environ=environ,
            stdin=io.BytesIO(stdin),
            stdout=self.stdout,
            stderr=self.stderr,
            interaction=interaction,
        )

    @property
    def out(self) -> str:
        return self.stdout.getvalue().decode()

    @property
    def err(self) -> str:
        return self.stderr.getvalue().decode()
