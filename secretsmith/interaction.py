"""Every question to a person goes through one protocol.

The command line implements it on the controlling terminal; activation, tests and everything without a terminal use
:class:`NoInteraction`, which never waits and turns each question into an error that names the flag to give instead.
"""

from __future__ import annotations

from typing import Protocol

from secretsmith.errors import Code, RefusedInput
from secretsmith.sensitive import Sensitive


class Interaction(Protocol):
    """How code asks a person. Implementations never read standard input, which may carry a value."""

    @property
    def available(self) -> bool:
        """Whether there is a person to ask."""
        ...

    def confirm(self, question: str, *, flag: str) -> bool:
        """Ask yes or no; ``flag`` is the option that answers it in a script."""
        ...

    def ask(self, question: str, *, flag: str) -> str:
        """Ask for one line of public text."""
        ...

    def passphrase(self, prompt: str, *, flag: str) -> Sensitive:
        """Ask for a hidden line, encoded as UTF-8, without the newline."""
        ...

    def notice(self, message: str) -> None:
        """Show one line, for instance "touch your security key"."""
        ...


class NoInteraction:
    """The interaction of a process without a terminal: every question is refused with the flag to give."""

    available = False

    def _refuse(self, question: str, flag: str) -> RefusedInput:
        return RefusedInput(
            Code.NOT_INTERACTIVE,
            f"cannot ask without a terminal: {question}",
            hints=(f"answer it with {flag}",),
        )

    def confirm(self, question: str, *, flag: str) -> bool:
        """Refuse with the flag that answers the question."""
        raise self._refuse(question, flag)

    def ask(self, question: str, *, flag: str) -> str:
        """Refuse with the flag that answers the question."""
        raise self._refuse(question, flag)

    def passphrase(self, prompt: str, *, flag: str) -> Sensitive:
        """Refuse with the flag that answers the question."""
        raise self._refuse(prompt, flag)

    def notice(self, message: str) -> None:
        """Say nothing: there is nobody to read it."""


__all__ = ["Interaction", "NoInteraction"]
