"""docs/reference says what the code does."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

from secretsmith import errors
from secretsmith.cli.table import COMMANDS
from secretsmith.errors import ExitCode, SecretsmithError

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMAS = sorted((DOCS / "reference" / "schemas").glob("*.schema.json"))


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_commands_page_is_up_to_date() -> None:
    made = generator().commands_page()
    assert (DOCS / "reference" / "commands.md").read_text() == made, "run: python docs/generate.py"
    assert all(f"secretsmith {command.name}" in made for command in COMMANDS)


def test_exit_codes_page_has_each_code_and_class() -> None:
    page = (DOCS / "reference" / "exit-codes.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (\w+) \| .*\| (?:`(\w+)`)? *\|$", page, re.MULTILINE)
    assert {(int(number), name) for number, name, _ in rows} == {(code.value, code.name) for code in ExitCode}
    classes = {
        value.__name__: value.exit_code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, SecretsmithError)
    }
    assert {name: int(number) for number, _, name in rows if name} == classes


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_schemas_are_valid(path: Path) -> None:
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"].startswith("secretsmith ")


def test_each_json_option_of_a_listing_names_a_schema_that_exists() -> None:
    named = set(
        re.findall(
            r"docs/reference/schemas/([\w-]+\.schema\.json)", (DOCS / "reference" / "commands.md").read_text()
        )
    )
    assert {"ls.schema.json", "check.schema.json", "rekey-plan.schema.json"} <= named
    assert named <= {path.name for path in SCHEMAS}
