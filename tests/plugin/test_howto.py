"""The example of docs/how-to/write-a-plugin.md, taken from the page, built as a wheel, installed and run."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "write-a-plugin.md"
# A fence whose first line is a comment with a path is that file.
FILE = re.compile(r"^```\w+\n# (secretsmith-folder/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(*argv: str, folder: Path, **environ: str) -> str:
    import os

    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_builds_installs_and_keeps_the_contract(tmp_path: Path) -> None:
    files = FILE.findall(PAGE.read_text())
    assert len(files) == 3
    for name, text in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    project = tmp_path / "secretsmith-folder"
    run(
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        "dist",
        str(project),
        folder=tmp_path,
    )
    site = tmp_path / "site"
    (wheel,) = (tmp_path / "dist").iterdir()
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(site)
    # From the wheel, not from the source beside the test.
    (project / "secretsmith_folder.py").unlink()
    (project / "pyproject.toml").unlink()
    listed = run(
        sys.executable,
        "-m",
        "secretsmith",
        "plugins",
        "list",
        "--json",
        folder=tmp_path,
        PYTHONPATH=str(site),
    )
    assert re.search(r'"folder".*"secretsmith-folder".*"0.1".*"ok"', listed.replace("\n", ""))
    tested = run(sys.executable, "-m", "pytest", "-q", str(project), folder=tmp_path, PYTHONPATH=str(site))
    assert "6 passed" in tested
