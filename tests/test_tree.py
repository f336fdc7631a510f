"""What must not be in any file of the tree."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A key has a body; the marker alone stands in parsers and messages.
PRIVATE_KEYS = re.compile(
    rb"-----BEGIN (OPENSSH |RSA |EC |DSA |ENCRYPTED )?PRIVATE KEY-----([\s\"',()b]|\\n)*[A-Za-z0-9+/]{40}"
    rb"|AGE-SECRET-KEY-(PQ-)?1[AC-HJ-NP-Z02-9]{50}"
)
# Spelt so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile(
    rb"/(work|farm|tmp/venv|root/\.pyenv|home/[a-z]+/(?!\.(ssh|config)))" + rb"/?[a-z]+"
)
REGISTRY_HOSTS = re.compile(
    rb"(pypi\.|pythonhosted\.|registry\.npmjs\.|deb\.debian\.|proxy\.golang\.|cache\.nixos\.)" + rb"org"
)
SILENCED = re.compile(
    rb"#\s*(type:\s*ignore(?!\[)|noqa(?!:\s*[A-Z])|ruff:\s*noqa|pragma:\s*no\s*cover|mypy:\s*ignore)"
)
# Documentation speaks of the folders of people who do not exist.
EXAMPLE_HOMES = (b"/home/alice/", b"/home/bob/", b"/home/app/")


def tracked_files() -> Iterator[Path]:
    """What a clone of this checkout would hold: what git knows, or, in an export without git, everything."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    else:
        paths = [
            path
            for path in ROOT.rglob("*")
            if not any(part.startswith(".") for part in path.parts[len(ROOT.parts) :])
        ]
    yield from (path for path in sorted(paths) if path.is_file())


FILES = list(tracked_files())


def found(pattern: re.Pattern[bytes], *, outside: str = "") -> list[str]:
    hits = []
    for path in FILES:
        name = str(path.relative_to(ROOT))
        if outside and name.startswith(outside):
            continue
        data = path.read_bytes()
        for match in pattern.finditer(data):
            line = data[data.rfind(b"\n", 0, match.start()) + 1 :].partition(b"\n")[0]
            if not any(home in line for home in EXAMPLE_HOMES):
                number = data.count(b"\n", 0, match.start()) + 1
                hits.append(f"{name}:{number}: {match[0][:60]!r}")
    return hits


def test_the_tree_is_found() -> None:
    assert ROOT / "pyproject.toml" in FILES
    assert len(FILES) > 50


def test_private_keys_are_only_in_testkeys() -> None:
    assert not found(PRIVATE_KEYS, outside="testkeys/")


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, REGISTRY_HOSTS], ids=["machine paths", "registry hosts"])
def test_nothing_depends_on_one_machine(pattern: re.Pattern[bytes]) -> None:
    assert not found(pattern)


def test_checks_are_silenced_by_name_only() -> None:
    assert not [hit for hit in found(SILENCED) if ".py:" in hit or ".toml:" in hit]


def test_no_built_files() -> None:
    built = (".pyc", ".pyo", ".so", ".whl", ".egg-info", ".orig", ".rej", ".swp")
    assert not [path for path in FILES if path.name.endswith(built) or "__pycache__" in path.parts]


def test_no_large_files() -> None:
    large = [path for path in FILES if path.stat().st_size > 512 * 1024]
    assert not large


def test_a_package_folder_holds_no_tests() -> None:
    assert not [
        path for path in FILES if path.is_relative_to(ROOT / "secretsmith") and path.name.startswith("test_")
    ]


def test_every_test_key_says_how_it_was_made() -> None:
    readme = (ROOT / "testkeys" / "README.md").read_text()
    keys = {path.name for path in FILES if path.parent == ROOT / "testkeys" and path.name != "README.md"}
    assert not {name for name in keys if name.removesuffix(".pub") not in readme}


def test_makefile_is_short() -> None:
    assert (ROOT / "Makefile").read_text().count("\n") <= 40


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (PRIVATE_KEYS, b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + b"b3Bl" * 17),
        (PRIVATE_KEYS, b"AGE-SECRET-" + b"KEY-1" + b"Q" * 58),
        (MACHINE_PATHS, b"see /wo" + b"rk/main/x"),
        (REGISTRY_HOSTS, b"https://py" + b"pi.org/simple"),
        (SILENCED, b"x = 1  # type" + b": ignore"),
        (SILENCED, b"x = 1  # no" + b"qa"),
        (SILENCED, b"if x:  # prag" + b"ma: no cover"),
    ],
)
def test_the_patterns_bite(pattern: re.Pattern[bytes], line: bytes) -> None:
    assert pattern.search(line)


def test_named_silencing_is_allowed() -> None:
    assert not SILENCED.search(b"x = 1  # noqa: A002")
    assert not SILENCED.search(b"x = 1  # type: ignore[assignment]")
