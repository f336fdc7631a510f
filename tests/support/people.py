"""Interactions for tests: scripted answers, and a record of what was asked."""

from __future__ import annotations

from collections.abc import Iterable

from secretsmith.sensitive import Sensitive


class Scripted:
    """Answers in the given order, whatever is asked; fails the test when it is asked for more."""

    available = True

    def __init__(self, answers: Iterable[str | bool] = ()) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.notices: list[str] = []

    def _answer(self, question: str) -> str | bool:
        self.asked.append(question)
        assert self.answers, f"an unexpected question: {question}"
        return self.answers.pop(0)

    def confirm(self, question: str, *, flag: str) -> bool:
        answer = self._answer(question)
        assert isinstance(answer, bool), question
        return answer

    def ask(self, question: str, *, flag: str) -> str:
        answer = self._answer(question)
        assert isinstance(answer, str), question
        return answer

    def passphrase(self, prompt: str, *, flag: str) -> Sensitive:
        answer = self._answer(prompt)
        assert isinstance(answer, str), prompt
        return Sensitive(answer.encode())

    def notice(self, message: str) -> None:
        self.notices.append(message)
