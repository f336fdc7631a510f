"""Every command in the README and in docs/ is run, and what it prints is compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import console
import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# These commands run this very suite or install from the network; .ci/run runs them itself.
PEERS = ("pass", "gpg", "age")
OUTSIDE = ("make ", "python3 -m venv", ".venv/bin/pip ", "pip install")


def steps(document: Path) -> list[console.Step]:
    """All commands but those of the boot test (tests/boot)."""
    return [
        step
        for step in console.steps_of(document.read_text())
        if not step.command.startswith(OUTSIDE) and not step.booted
    ]


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if steps(d)], ids=lambda d: str(d.relative_to(ROOT)).replace("/", "-")
)
def test_commands_print_what_the_document_says(
    document: Path, tmp_path: Path, request: pytest.FixtureRequest, peer: Callable[[str], str]
) -> None:
    for program in PEERS:
        if any(re.search(rf"(^|[|;&] *){program} ", step.command) for step in steps(document)):
            peer(program)
    sandbox = console.Sandbox(tmp_path, ROOT)
    request.addfinalizer(sandbox.close)
    for step in steps(document):
        printed = sandbox.run(step)
        if step.output:
            assert console.matches(step.output, printed), (
                f"{document.name}:{step.line}: {step.command}\n--- the document\n"
                + "\n".join(step.output)
                + f"\n--- the program\n{printed}"
            )


def test_readme_shows_commands() -> None:
    assert len(steps(ROOT / "README.md")) >= 6


def test_links_between_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(((?!https?:|#)[^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_a_command_that_prints_something_else_is_noticed() -> None:
    assert not console.matches(["hunter2"], "hunter3\n")
    assert console.matches(["a … c"], "a b c\n")
