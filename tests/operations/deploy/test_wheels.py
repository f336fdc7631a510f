"""The wheels for a host: which are taken from a folder, which pip is asked for, and that they install."""

from __future__ import annotations

import importlib
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from deployhosts import DeployHost
from packaging.requirements import Requirement
from packaging.tags import Tag, cpython_tags
from packaging.utils import canonicalize_name

from secretsmith import __version__
from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.operations.deploy.facts import Facts
from secretsmith.operations.deploy.wheels import (
    HOST_PACKAGES,
    environment_name,
    gather_wheels,
    modules_of,
    platforms,
)

FACTS = Facts(True, (3, 11), "x86_64", ("glibc", "2.36"), None, None, 1, None, ())
_ENTRY = "[console_scripts]\nsecretsmith-activate = secretsmith.cli.activate:main\n"

# What they are called when they are imported.
MODULES = {
    "cffi": ("_cffi_backend",),
    "cryptography": ("cryptography__hazmat__bindings___rust",),
    "pynacl": ("nacl__bindings",),
    "ruamel.yaml": ("ruamel__yaml",),
}


def wheel(folder: Path, name: str, version: str, **files: str) -> Path:
    """A wheel that pip takes; in ``files`` a double underscore stands for a slash."""
    module, info = name.replace("-", "_").replace(".", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    made = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as opened:
        contents = {
            f"{module}/__init__.py": "",
            **{path.replace("__", "/") + ".py": text for path, text in files.items()},
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        if name == "secretsmith":
            contents[f"{info}/entry_points.txt"] = _ENTRY
        for path, text in contents.items():
            opened.writestr(path, text)
        opened.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in [*contents, f"{info}/RECORD"]))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a wheel of everything that is wanted, empty but for a program that says its version."""
    found = tmp_path / "wheels"
    found.mkdir()
    for name in HOST_PACKAGES:
        wheel(found, name, "1.0", **dict.fromkeys(MODULES.get(name, ()), ""))
    program = f"def main():\n    print('secretsmith enable --now secretsmith-activate.service')\n    print('{__version__}')\n"
    program += "if __name__ == '__main__':\n    main()\n"
    wheel(found, "secretsmith", __version__, secretsmith__cli__activate=program)
    return found


def test_a_host_gets_all_that_activation_needs_and_no_more() -> None:
    from importlib.metadata import distribution

    def needs(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
        found: set[str] = set()
        for text in distribution(name).requires or ():
            wanted = Requirement(text)
            marks = [{"extra": extra} for extra in ("", *extras)]
            if wanted.marker is None or any(wanted.marker.evaluate(mark) for mark in marks):
                package = canonicalize_name(wanted.name)
                if package not in ("typer", "tomlkit", "keyring"):
                    found |= {package} | needs(package, frozenset(wanted.extras))
        return found

    ours = {canonicalize_name(name) for name in HOST_PACKAGES}
    # typing-extensions: of an old Python only; ruamel's C part is never used.
    assert needs("secretsmith") - {"typing-extensions", "ruamel-yaml-clib"} == ours


def test_platforms_are_those_that_pip_would_take_there() -> None:
    listed = list(platforms("x86_64", ("glibc", "2.36")))
    assert listed[0] == "manylinux_2_36_x86_64" and "manylinux2014_x86_64" in listed
    tags = set(cpython_tags((3, 11), platforms=listed))
    assert Tag("cp39", "abi3", "manylinux_2_28_x86_64") in tags
    assert "manylinux_2_37_x86_64" not in listed
    assert next(iter(platforms("aarch64", ("", "")))).startswith("musllinux_1_")
    assert next(iter(platforms("x86_64", ("glibc", "2.²")))).startswith("musllinux_1_")
    assert next(iter(platforms("x86_64", ("glibc", "2." + "9" * 5000)))).startswith("musllinux_1_")
    for machine in ("x86_64 --index-url=x", "../x", ""):
        with pytest.raises(SecretsmithError):
            list(platforms(machine, ("glibc", "2.36")))


def test_a_folder_is_looked_through_before_anything_is_sent(folder: Path) -> None:
    (folder / "notes.txt").write_text("")
    wheel(folder, "typer", "1.0")
    found = gather_wheels(FACTS, folder, {})
    assert len(found) == len(HOST_PACKAGES) + 1 and all(name.endswith(".whl") for name, _ in found)
    assert environment_name(found).startswith(f"{__version__}-")
    wheel(folder, "pyrage", "2.0")
    with pytest.raises(RefusedInput, match="two wheels of pyrage"):
        gather_wheels(FACTS, folder, {})
    for made in folder.glob("pyrage-*"):
        made.unlink()
    with pytest.raises(NotFound, match="no wheel of pyrage"):
        gather_wheels(FACTS, folder, {})
    wheel(folder, "secretsmith", "0.0.1").replace(folder / "secretsmith-0.0.1-py3-none-any.whl")
    (folder / f"secretsmith-{__version__}-py3-none-any.whl").unlink()
    with pytest.raises(RefusedInput) as caught:
        gather_wheels(FACTS, folder, {})
    assert caught.value.code is Code.SKEW
    with pytest.raises(NotFound):
        gather_wheels(FACTS, folder / "nowhere", {})


def test_what_has_to_load_are_modules_that_these_packages_have(folder: Path) -> None:
    wheels = gather_wheels(FACTS, folder, {})
    modules = modules_of(wheels)
    assert len(modules) == len(HOST_PACKAGES)
    for module in modules:
        importlib.import_module(module)
    assert modules_of([wheel for wheel in wheels if wheel[0].startswith("PyNaCl".lower())]) == [
        "nacl.bindings"
    ]


def test_a_repository_is_no_place_to_look_for_pip_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip").mkdir()
    for name in ("pip/__init__.py", "pip/__main__.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SecretsmithError, match="failed"):
        gather_wheels(FACTS, None, {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"})
    assert not (tmp_path / "ran").exists()


def test_another_build_of_one_version_is_another_environment(folder: Path) -> None:
    before = environment_name(gather_wheels(FACTS, folder, {}))
    assert environment_name(gather_wheels(FACTS, folder, {})) == before
    wheel(folder, "bcrypt", "1.1").replace(folder / "bcrypt-1.0-py3-none-any.whl")
    assert environment_name(gather_wheels(FACTS, folder, {})) != before


def test_pip_s_failure_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    environ = {
        "PATH": "/usr/bin:/bin",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_RETRIES": "0",
    }
    with pytest.raises(SecretsmithError, match=r"pip wheel failed|pip download failed") as caught:
        gather_wheels(FACTS, None, environ)
    assert "--wheels DIR" in caught.value.hints[0] and "\n" not in caught.value.message


def test_a_host_without_secretsmith_gets_it_and_an_older_one_too(
    web1: DeployHost, folder: Path, peer: Callable[[str], str]
) -> None:
    if subprocess.run(["/usr/bin/python3", "-c", "import ensurepip, venv"], check=False).returncode:
        peer("ensurepip of the system's python3")
    web1.run("rm /usr/local/bin/secretsmith-activate")
    fitting = folder / "bcrypt-1.0-py3-none-any.whl"
    other = fitting.rename(folder / "bcrypt-1.0-cp39-abi3-manylinux_2_17_sparc64.whl")
    said = web1.deploy("--bootstrap", "--wheels", str(folder), code=1)
    assert (
        "is not a supported wheel on this platform" in said
        and "hint: they have to be made for CPython 3." in said
    )
    assert web1.run("ls /opt/secretsmith") == ""
    other.rename(fitting)
    # It says its version, and has nothing to activate with: so the deploy itself has to do without a report.
    web1.deploy("--bootstrap", "--wheels", str(folder))
    (name,) = web1.run("ls /opt/secretsmith | grep -v current").split()
    assert web1.run("readlink /opt/secretsmith/current") == f"{name}\n" and name.startswith(f"{__version__}-")
    assert __version__ in web1.run("secretsmith-activate --version")
    assert web1.run("readlink /usr/local/bin/secretsmith-activate").startswith("/opt/secretsmith/current/")
    stamp = web1.run(f"stat -c %Y.%i /opt/secretsmith/{name}/whole")
    web1.deploy("--bootstrap", "--wheels", str(folder))
    assert web1.run(f"stat -c %Y.%i /opt/secretsmith/{name}/whole") == stamp
    changed = f"/opt/secretsmith/{name}/lib/python*/site-packages/secretsmith/cli/activate.py"
    web1.run(f"sed -i s/{__version__}/0.0.1/ {changed}")
    wheel(folder, "bcrypt", "1.1").replace(folder / "bcrypt-1.0-py3-none-any.whl")
    assert "--bootstrap" in web1.deploy(code=1)
    web1.deploy("--bootstrap", "--wheels", str(folder))
    web1.deploy()
    assert len(web1.run("ls /opt/secretsmith").split()) == 3, "this, the one before, and the link"
