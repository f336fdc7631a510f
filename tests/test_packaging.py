"""What ships: the wheels are built offline with the installed backend, opened, installed and run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

import secretsmith

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = {
    "secretsmith": ROOT,
    **{path.name: path for path in sorted((ROOT / "plugins").iterdir()) if path.is_dir()},
}


def build(project: Path, kind: str, out: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(out), str(project)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: build(path, "wheel", tmp_path_factory.mktemp(name)) for name, path in PROJECTS.items()}


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as opened:
        return set(opened.namelist())


def member(wheel: Path, suffix: str) -> str:
    with zipfile.ZipFile(wheel) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith(suffix)]
        return opened.read(name).decode()


@pytest.mark.parametrize("name", sorted(PROJECTS))
def test_wheel_holds_the_package_and_nothing_else(wheels: dict[str, Path], name: str) -> None:
    package = name.replace("-", "_")
    code = {str(path.relative_to(PROJECTS[name])) for path in (PROJECTS[name] / package).rglob("*.py")}
    assert code
    inside = names(wheels[name])
    assert code <= inside
    assert f"{package}/py.typed" in inside
    foreign = {entry for entry in inside - code if not re.match(rf"{package}(-[^/]+\.dist-info)?/", entry)}
    assert not foreign
    assert not [entry for entry in inside if "/test_" in entry or entry.endswith((".pyc", ".toml", ".in"))]


def test_core_wheel_carries_its_licence(wheels: dict[str, Path]) -> None:
    assert "MIT" in member(wheels["secretsmith"], ".dist-info/licenses/LICENSE")
    metadata = member(wheels["secretsmith"], ".dist-info/METADATA")
    assert f"Version: {secretsmith.__version__}\n" in metadata
    assert "License-Expression: MIT\n" in metadata


@pytest.mark.parametrize("name", sorted(PROJECTS))
def test_entry_points_resolve(wheels: dict[str, Path], name: str) -> None:
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.read_string(member(wheels[name], ".dist-info/entry_points.txt"))
    points = [value for section in parser.sections() for value in parser[section].values()]
    assert points
    script = "import importlib, sys\nfor point in sys.argv[1:]:\n m, _, a = point.partition(':')\n"
    script += " assert callable(getattr(importlib.import_module(m), a)), point\n"
    # The wheels themselves are the search path, in front of the checkout's own modules.
    places = ":".join(str(wheel) for wheel in wheels.values())
    done = subprocess.run(
        [sys.executable, "-c", script, *points],
        env={"PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=wheels[name].parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_installed_from_wheels_the_programs_run(wheels: dict[str, Path], tmp_path: Path) -> None:
    # Third-party packages come from the development install; ours come from the wheels alone.
    venv.create(tmp_path / "venv", with_pip=False, system_site_packages=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    for wheel in wheels.values():
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(site)
    outer = run(Path(sys.executable), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # A plain path entry: unlike a .pth of the outer site-packages, it does not bring the editable checkout along.
    (site / "third_party.pth").write_text(f"{outer}\n")
    where = run(python, "-c", "import secretsmith; print(secretsmith.__file__)")
    assert where.strip() == str(site / "secretsmith" / "__init__.py")
    assert secretsmith.__version__ in run(python, "-m", "secretsmith", "--version")
    listed = run(python, "-m", "secretsmith", "plugins", "list", "--json")
    assert '"systemd"' in listed
    assert "broken" not in listed


def run(python: Path, *arguments: str) -> str:
    done = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sdist_is_complete(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(build(ROOT, "sdist", tmp_path)) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "pyproject.toml"} <= inside
    assert not [name for name in inside if name.startswith(("tests/", "testkeys/", "plugins/"))]


def test_locked_requirements_cover_the_runtime() -> None:
    runtime = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    listed = [
        line.partition("  #")[0].strip() for line in (ROOT / "requirements-dev.in").read_text().splitlines()
    ]
    assert set(runtime) <= set(listed)
    locked = (ROOT / "requirements-dev.txt").read_text()
    for line in listed:
        if line and not line.startswith("#"):
            name = re.split(r"[\[<>=]", line)[0].replace(".", "-")
            assert re.search(rf"^{re.escape(name)}==\S+ \\$", locked, re.MULTILINE), f"{name} is not locked"
    pins = re.findall(
        r"^([a-z0-9][\w.-]*)==\S+ \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", locked, re.MULTILINE
    )
    assert len(pins) == len(re.findall(r"^[a-z0-9][\w.-]*==", locked, re.MULTILINE)), "a pin without hashes"
    assert not re.search(
        r"^\s*(-i|--index-url|--extra-index-url|--find-links|--trusted-host)\b", locked, re.MULTILINE
    )
