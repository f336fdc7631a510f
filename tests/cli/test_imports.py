"""Counted, not timed: what a command imports. A third-party package that creeps in costs every call in a loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import keys
import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"typer", "rich", "pydantic", "pydantic_core", "click", "tomlkit", "ruamel", "keyring"}
CRYPTO = {"pyrage", "nacl", "cryptography"}
MEASURE = """
import json, os, sys
from secretsmith.cli.door import main
code = main(sys.argv[1:])
sys.stdout.flush()
with open(os.environ["MODULES"], "w") as out:
    json.dump(sorted(sys.modules), out)
raise SystemExit(code)
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one secret, made by the commands themselves."""
    folder = tmp_path_factory.mktemp("imports")
    keys.ed25519_key("alice").write(folder, "alice")
    environ = environment(folder)
    for words, value in (
        (["init", "--user", "alice", "--key", "alice.pub", "--yes"], b""),
        (["set", "secrets/db.age", "--to", "alice"], b"hunter2"),
    ):
        subprocess.run(
            [sys.executable, "-m", "secretsmith", *words], cwd=folder, env=environ, input=value, check=True, capture_output=True
        )  # fmt: skip
    return folder


def environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "SECRETSMITH_IDENTITY": str(folder / "alice"),
        "MODULES": str(folder / "modules.json"),
    }


def imported(folder: Path, *words: str, code: int = 0) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *words], cwd=folder, env=environment(folder), capture_output=True, check=False
    )  # fmt: skip
    assert done.returncode == code, done.stderr.decode()
    modules: list[str] = json.loads((folder / "modules.json").read_text())
    return set(modules)


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--version",), 0),
        (("show", "secrets/db.age"), 0),
        (("ls",), 0),
        (("ls", "--json"), 0),
        (("check",), 3),
        (("check", "--json"), 3),
        (("rekey",), 0),
        (("rekey", "--plan", "--json"), 0),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else str(value),
)
def test_light_commands_import_nothing_heavy(repository: Path, words: tuple[str, ...], code: int) -> None:
    modules = imported(repository, *words, code=code)
    assert not packages(modules) & HEAVY


@pytest.mark.parametrize(
    ("words", "code"), [(("ls",), 0), (("check",), 3), (("rekey",), 0)], ids=lambda v: str(v)
)
def test_commands_that_need_no_key_import_no_cryptography(
    repository: Path, words: tuple[str, ...], code: int
) -> None:
    modules = imported(repository, *words, code=code)
    assert not packages(modules) & CRYPTO


def test_show_imports_no_code_of_other_commands(repository: Path) -> None:
    modules = imported(repository, "show", "secrets/db.age")
    loaded = {name for name in modules if name.startswith("secretsmith.cli.commands.")}
    assert loaded == {"secretsmith.cli.commands.show"}
    assert not {name for name in modules if name.startswith("secretsmith.cli.arguments.")} - {
        "secretsmith.cli.arguments.values"
    }


def test_the_door_alone_imports_no_command_and_no_project(tmp_path: Path) -> None:
    code = "import json, sys, secretsmith.cli.door; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, check=True
    )
    modules = set(json.loads(done.stdout))
    assert not packages(modules) & (HEAVY | CRYPTO)
    ours = {name for name in modules if name.startswith("secretsmith.")}
    assert ours == {
        "secretsmith.cli",
        "secretsmith.record",
        "secretsmith.cli.boundary",
        "secretsmith.cli.door",
        "secretsmith.cli.light",
        "secretsmith.cli.parameters",
        "secretsmith.cli.render",
        "secretsmith.cli.session",
        "secretsmith.cli.streams",
        "secretsmith.cli.table",
        "secretsmith.errors",
        "secretsmith.interaction",
        "secretsmith.sensitive",
    }


def test_help_may_import_typer(repository: Path) -> None:
    assert "typer" in imported(repository, "--help")
