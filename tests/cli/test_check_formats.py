"""What `check` prints: text for people, SARIF and workflow commands for those who show it beside the code."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import keys
import pytest
from fleet import Fleet, make_fleet
from hypothesis import given
from hypothesis import strategies as st
from terminals import OnTerminal

from secretsmith.cli.arguments.readers import CheckParameters
from secretsmith.cli.commands import check as command
from secretsmith.cli.findingtext import finding_lines
from secretsmith.cli.sarif import TITLES, sarif_log
from secretsmith.cli.session import Session
from secretsmith.cli.workflow import workflow_command
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.findings import Basis, Finding, Severity

ROOT = Path(__file__).resolve().parents[2]
DB = "secrets/web/db.age"

# The parts of SARIF 2.1.0 that we write, as the standard has them: its section numbers stand beside.
SARIF: Mapping[str, Any] = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},  # 3.13.3
        "version": {"const": "2.1.0"},  # 3.13.2
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {  # 3.14
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "additionalProperties": False,
                        "properties": {
                            "driver": {  # 3.19
                                "type": "object",
                                "required": ["name", "rules"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"const": "secretsmith"},
                                    "semanticVersion": {"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {"$ref": "#/$defs/rule"},
                                    },
                                },
                            }
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},  # 3.14.17
                    "originalUriBaseIds": {"type": "object"},  # 3.14.14
                    "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
                },
            },
        },
    },
    "$defs": {
        "text": {  # 3.11, message
            "type": "object",
            "required": ["text"],
            "additionalProperties": False,
            "properties": {"text": {"type": "string", "minLength": 1}},
        },
        "level": {"enum": ["none", "note", "warning", "error"]},  # 3.27.10
        "rule": {  # 3.49
            "type": "object",
            "required": ["id", "shortDescription"],
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string", "minLength": 1},
                "shortDescription": {"$ref": "#/$defs/text"},
                "defaultConfiguration": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"level": {"$ref": "#/$defs/level"}},
                },
            },
        },
        "result": {  # 3.27
            "type": "object",
            "required": ["ruleId", "ruleIndex", "level", "message", "locations"],
            "additionalProperties": False,
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": {"$ref": "#/$defs/level"},
                "message": {"$ref": "#/$defs/text"},
                "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
                "properties": {"type": "object"},
                "locations": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["physicalLocation"],
                        "properties": {
                            "physicalLocation": {  # 3.29
                                "type": "object",
                                "required": ["artifactLocation"],
                                "additionalProperties": False,
                                "properties": {
                                    "artifactLocation": {  # 3.4: a relative reference needs its base
                                        "type": "object",
                                        "required": ["uri", "uriBaseId"],
                                        "additionalProperties": False,
                                        "properties": {
                                            "uri": {"type": "string", "pattern": r"^[A-Za-z0-9._~/%-]+$"},
                                            "uriBaseId": {"const": "SRCROOT"},
                                        },
                                    },
                                    "region": {  # 3.30
                                        "type": "object",
                                        "required": ["startLine"],
                                        "additionalProperties": False,
                                        "properties": {"startLine": {"type": "integer", "minimum": 1}},
                                    },
                                },
                            }
                        },
                    },
                },
            },
        },
    },
}


def finding(
    code: str = Code.DRIFT,
    severity: Severity = "error",
    path: str = DB,
    message: str = "web3 should read it and cannot",
    hint: str = "",
    basis: Basis = "",
    line: int = 0,
) -> Finding:
    return Finding(code, severity, path, message, hint, basis, line)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """A repository that drifts, with plaintext in a file whose name wants escaping."""
    made = make_fleet(tmp_path)
    made.put(DB, b"hunter2")
    made.hosts["web3"] = keys.ed25519_key()
    made.rules["secrets/web/**"] = ("web1", "web3")
    made.write()
    (made.root / "secrets/web/50% off, now:really.age").write_text("hunter2\n")
    return made


def run(fleet: Fleet, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(fleet.home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "secretsmith", "check", *words],
        cwd=fleet.root,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


class TestSarif:
    def test_a_real_one(self, fleet: Fleet) -> None:
        done = run(fleet, "--format", "sarif")
        assert done.returncode == ExitCode.FINDINGS
        assert "hunter2" not in done.stdout
        log = json.loads(done.stdout)
        jsonschema.validate(log, SARIF, jsonschema.Draft202012Validator)
        results = log["runs"][0]["results"]
        rules = log["runs"][0]["tool"]["driver"]["rules"]
        assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in results)
        drift = next(each for each in results if each["ruleId"] == "E_DRIFT")
        assert drift["level"] == "error"
        assert drift["message"]["text"].startswith(
            f"{DB}: web3 should read it and cannot\nsecretsmith rekey "
        )
        assert drift["properties"]["basis"] == "lock"
        uris = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in results}
        assert "secrets/web/50%25%20off%2C%20now%3Areally.age" in uris
        rule = next(each for each in results if each["ruleId"] == "E_SINGLE_ADMIN")
        assert rule["level"] == "warning"
        prints = [each["partialFingerprints"]["secretsmith/v1"] for each in results]
        assert len(set(prints)) == len(prints)

    def test_none(self) -> None:
        jsonschema.validate(sarif_log([], ""), SARIF, jsonschema.Draft202012Validator)

    def test_lines_folders_and_findings_without_a_file(self) -> None:
        items = [
            finding(path="secretsmith.toml", line=7),
            finding(Code.BUILD_STALE, "info", path=""),
            finding("E_OTHERS", "warning"),
        ]
        log = sarif_log(items, "fleet")
        jsonschema.validate(log, SARIF, jsonschema.Draft202012Validator)
        first, second, third = log["runs"][0]["results"]
        place = first["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "fleet/secretsmith.toml"
        assert place["region"] == {"startLine": 7}
        assert second["level"] == "note"
        assert third["ruleIndex"] == 2

    def test_the_fingerprint_stays_when_the_line_moves(self) -> None:
        one, other = (sarif_log([finding(line=line)], "")["runs"][0]["results"][0] for line in (7, 9))
        assert one["partialFingerprints"] == other["partialFingerprints"]

    @given(st.text(min_size=1), st.text(), st.text())
    def test_any_text(self, path: str, message: str, hint: str) -> None:
        log = sarif_log([finding(path=path, message=message, hint=hint)], "")
        jsonschema.validate(log, SARIF, jsonschema.Draft202012Validator)
        assert json.loads(json.dumps(log)) == log

    def test_every_code_of_check_has_a_title(self) -> None:
        sources = [
            *(ROOT / "secretsmith/operations").glob("check*.py"),
            ROOT / "secretsmith/operations/exportsops.py",
        ]
        text = "\n".join(path.read_text() for path in sources)
        used = {Code[name] for name in re.findall(r"Finding\(\s*Code\.([A-Z_]+)", text)}
        assert len(used) > 20
        assert used <= TITLES.keys()


class TestGitHub:
    def test_a_real_one(self, fleet: Fleet) -> None:
        done = run(fleet, "--format", "github")
        assert done.returncode == ExitCode.FINDINGS
        lines = done.stdout.splitlines()
        assert all(
            re.match(r"::(error|warning|notice) (file=[^:]+,)?(line=\d+,)?title=[^:]+::", line)
            for line in lines
        )
        assert (
            f"::error file={DB},title=secretsmith E_DRIFT::{DB}: web3 should read it and cannot (lock)"
            f"%0Asecretsmith rekey {DB}"
        ) in lines
        assert any("file=secrets/web/50%25 off%2C now%3Areally.age," in line for line in lines)

    def test_severities_and_places(self) -> None:
        assert workflow_command(finding(severity="warning", line=3), "fleet").startswith(
            f"::warning file=fleet/{DB},line=3,title="
        )
        assert workflow_command(finding(severity="info", path="", message="m"), "f") == (
            "::notice title=secretsmith E_DRIFT::m"
        )

    @given(st.text(), st.text(), st.text())
    def test_no_text_ends_the_command_or_starts_another(self, path: str, message: str, hint: str) -> None:
        line = workflow_command(finding(path=path, message=message, hint=hint), "")
        assert line.isprintable()
        assert "\n" not in line
        properties = line.removeprefix("::error ").partition("::")[0]
        assert len(properties.split(",")) == (2 if path else 1)

    def test_what_is_escaped_comes_back(self) -> None:
        """As actions/toolkit's runner reads it."""
        line = workflow_command(finding(path="a%,b:c", message="100% :: sure, yes"), "")
        match = re.fullmatch(r"::error file=([^,]*),title=[^:]*::(.*)", line)
        assert match is not None
        assert match[1].replace("%3A", ":").replace("%2C", ",").replace("%25", "%") == "a%,b:c"
        assert match[2].replace("%0A", "\n").replace("%25", "%") == "a%,b:c: 100% :: sure, yes"


class TestBrokenRegistry:
    """It is the first thing to mend, so that whoever looks at annotations alone sees it, too."""

    @pytest.fixture
    def weak(self, fleet: Fleet) -> Fleet:
        fleet.extra = f'[users.bob]\nkeys = ["{keys.rsa_key(1024).public}"]\n'
        fleet.write()
        return fleet

    def test_weak_rsa(self, weak: Fleet) -> None:
        text = (weak.root / "secretsmith.toml").read_text().splitlines()
        line = next(number for number, each in enumerate(text, 1) if "ssh-rsa" in each)
        done = run(weak, "--format", "github")
        assert done.returncode == ExitCode.USAGE
        assert f"::error file=secretsmith.toml,line={line},title=secretsmith E_KEY_WEAK::" in done.stdout
        assert done.stderr.startswith(f"secretsmith: error: secretsmith.toml:{line}:")
        log = json.loads(run(weak, "--format", "sarif").stdout)
        jsonschema.validate(log, SARIF, jsonschema.Draft202012Validator)
        (result,) = log["runs"][0]["results"]
        assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": line}

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_other_formats_stay_empty(self, weak: Fleet, form: str) -> None:
        done = run(weak, "--format", form)
        assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")


class TestJson:
    def test_both_spellings(self, fleet: Fleet) -> None:
        done = run(fleet, "--format", "json")
        schema = json.loads((ROOT / "docs/reference/schemas/check.schema.json").read_text())
        jsonschema.validate(json.loads(done.stdout), schema, jsonschema.Draft202012Validator)
        assert run(fleet, "--json").stdout == done.stdout
        drift = next(each for each in json.loads(done.stdout)["findings"] if each["code"] == "E_DRIFT")
        assert (drift["basis"], drift["line"]) == ("lock", 0)

    def test_two_formats_at_once_are_refused(self, fleet: Fleet) -> None:
        out = io.BytesIO()
        session = Session(cwd=fleet.root, environ={}, stdin=io.BytesIO(), stdout=out, stderr=io.BytesIO())
        with pytest.raises(RefusedInput):
            command.run(session, CheckParameters(json=True, format="sarif"))
        assert run(fleet, "--format", "xml").returncode == ExitCode.USAGE


class TestText:
    def test_the_grave_ones_first(self) -> None:
        items = [
            finding(severity="info", message="i"),
            finding(severity="error", message="e", hint="mend it"),
            finding(severity="warning", message="w"),
        ]
        assert list(finding_lines(items)) == [
            f"error: {DB}: e (E_DRIFT)",
            "  mend it",
            f"warning: {DB}: w (E_DRIFT)",
            f"info: {DB}: i (E_DRIFT)",
        ]

    def test_on_what_it_rests_and_where(self) -> None:
        items = [finding(basis="file"), finding(basis="lock"), finding(basis="assumed"), finding(line=3)]
        assert [text.removeprefix(f"error: {DB}") for text in finding_lines(items)] == [
            ": web3 should read it and cannot (E_DRIFT; by the file)",
            ": web3 should read it and cannot (E_DRIFT; by the lock)",
            ": web3 should read it and cannot (E_DRIFT; assumed)",
            ":3: web3 should read it and cannot (E_DRIFT)",
        ]

    def test_an_error_that_names_its_file_names_it_once(self) -> None:
        (text,) = finding_lines([finding(Code.EMPTY, message=f"{DB}: is empty")])
        assert text == f"error: {DB}: is empty (E_EMPTY)"

    def test_what_many_files_have_in_common_is_said_once(self) -> None:
        items = [
            finding(path=f"s/{n}.age", hint=f"secretsmith rekey s/{n}.age", basis="lock") for n in range(12)
        ]
        items.append(finding(path="s/x.age", message="other"))
        assert list(finding_lines(items)) == [
            "error: 12 files: web3 should read it and cannot (E_DRIFT; by the lock)",
            *(f"    s/{n}.age" for n in range(10)),
            "    … and 2 more: --json names all",
            "  secretsmith rekey",
            "error: s/x.age: other (E_DRIFT)",
        ]
        assert len(list(finding_lines(items[:3]))) == 6, "three are told one by one"

    def test_the_hint_of_many_says_where_the_file_goes(self) -> None:
        items = [
            finding(
                Code.NO_RULE, path=f"s/{n}.age", message="m", hint=f"secretsmith grant 's/{n}.age' --to WHO"
            )
            for n in range(4)
        ]
        assert list(finding_lines(items))[-1] == "  secretsmith grant FILE --to WHO"

    @given(
        st.lists(
            st.builds(finding, path=st.sampled_from(["", "a", "b c", "d"]), message=st.text(max_size=99))
        )
    )
    def test_nothing_is_left_out(self, items: list[Finding]) -> None:
        lines = list(finding_lines(items))
        counts = [re.match(r"error: (?:(\d+) files: )?", line) for line in lines]
        assert sum(int(match[1] or 1) for match in counts if match) == len(items)
        assert all(any(item.path in line for line in lines) for item in items)

    def test_a_terminal_of_80_columns(self, fleet: Fleet) -> None:
        fleet.put("secrets/web/other.age", b"x")
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(fleet.home),
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm",
        }
        with OnTerminal(
            [sys.executable, "-m", "secretsmith", "check"], cwd=fleet.root, environ=environ
        ) as seen:
            assert seen.end() == ExitCode.FINDINGS
            shown = seen.shown.decode().replace("\r\n", "\n")
        assert "\x1b" not in shown, "nothing is said by color"
        hints = re.compile(r"  secretsmith |  any write |  if ")
        assert all(len(line) <= 80 for line in shown.splitlines() if not hints.match(line)), shown
        assert any(len(line) > 80 for line in run(fleet).stdout.splitlines()), (
            "in a pipe a finding is one line"
        )
