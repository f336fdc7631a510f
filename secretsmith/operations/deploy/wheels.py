"""The wheels that a host needs to activate secrets: from a folder, or fetched and built here by pip for that host's Python."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from secretsmith import __version__
from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.operations.deploy.facts import Facts
from secretsmith.store.atomic import read_file
from secretsmith.store.scratch import scratch_folder

# What activation imports, and what that needs. Not typer, tomlkit and keyring: those are for people at their own computer.
_MODULES: Final[Mapping[str, str]] = {
    "bcrypt": "bcrypt",
    "cffi": "_cffi_backend",
    "cryptography": "cryptography.hazmat.bindings._rust",
    "pycparser": "pycparser",
    "pynacl": "nacl.bindings",
    "pyrage": "pyrage",
    "ruamel.yaml": "ruamel.yaml",
}
HOST_PACKAGES: Final = tuple(_MODULES)
_OURSELVES: Final = "secretsmith"
_MAX_WHEEL: Final = 64 * 1024 * 1024
_WHEEL: Final = re.compile(
    r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[A-Za-z0-9._+!]+)(-[A-Za-z0-9._]+){3,4}\.whl"
)
_OLDEST_GLIBC, _OLDEST_MUSL = 5, 1
_MANYLINUX: Final = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_SECONDS: Final = 900


def gather_wheels(facts: Facts, folder: Path | None, environ: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Return the wheels for a host, by file name: those of ``folder``, or of pip.

    Raises:
        NotFound: a wheel is missing in the folder, or there is no pip here.
        RefusedInput: two versions of one package. SecretsmithError: REMOTE, pip failed.
    """
    if folder is not None:
        return _read(folder)
    with scratch_folder(environ) as scratch:
        _pip(scratch, ["wheel", "--no-deps", *_own_source()], environ)
        wanted = [f"{name}=={version}" for name in (*HOST_PACKAGES, "pip") if (version := _installed(name))]
        _pip(scratch, ["download", "--no-deps", *_for_host(facts), *wanted], environ)
        return _read(scratch)


def environment_name(wheels: Sequence[tuple[str, bytes]]) -> str:
    """Return the name of the environment that these wheels make: the version, and what tells one build from the next."""
    digest = sha256()
    for name, data in sorted(wheels):
        digest.update(f"{name} {sha256(data).hexdigest()}\n".encode())
    return f"{__version__}-{digest.hexdigest()[:8]}"


def modules_of(wheels: Iterable[tuple[str, bytes]]) -> list[str]:
    """Return the modules, compiled ones where there are any, that have to load on a host when these wheels are there."""
    packages = {_normal(match["name"]) for name, _ in wheels if (match := _WHEEL.fullmatch(name))}
    return [module for package, module in _MODULES.items() if _normal(package) in packages]


def _read(folder: Path) -> list[tuple[str, bytes]]:
    try:
        names = sorted(path.name for path in folder.iterdir() if path.name.endswith(".whl"))
    except OSError as error:
        raise NotFound(Code.NOT_FOUND, f"{folder}: {(error.strerror or 'not readable').lower()}") from None
    chosen: dict[str, str] = {}
    for name in names:
        match = _WHEEL.fullmatch(name)
        package = _normal(match["name"]) if match else ""
        if package not in (*map(_normal, HOST_PACKAGES), _OURSELVES, "pip"):
            continue
        if package in chosen:
            raise RefusedInput(
                Code.USAGE,
                f"{folder} has two wheels of {package}: {chosen[package]} and {name}",
                hints=("leave the one that fits the host",),
            )
        if package == _OURSELVES and match is not None and match["version"] != __version__:
            raise RefusedInput(
                Code.SKEW,
                f"{folder} has secretsmith {match['version']}, and this is {__version__}",
                hints=(f"pip download --no-deps -d {folder} secretsmith=={__version__}",),
            )
        chosen[package] = name
    missing = [
        name for name in (_OURSELVES, *HOST_PACKAGES) if _normal(name) not in chosen and _installed(name)
    ]
    if missing:
        raise NotFound(
            Code.NOT_FOUND,
            f"{folder} has no wheel of {', '.join(missing)}",
            hints=(f"pip download --only-binary=:all: -d {folder} secretsmith=={__version__} pip",),
        )
    return [(name, read_file(folder / name, _MAX_WHEEL, follow=True)) for name in sorted(chosen.values())]


def _own_source() -> list[str]:
    """Return what pip makes our own wheel of: the checkout that this runs from (PEP 610), or this version of the release."""
    try:
        text = metadata.distribution(_OURSELVES).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        text = None
    given = json.loads(text) if text else {}
    address = urlsplit(str(given.get("url", "")))
    if address.scheme == "file" and "dir_info" in given:
        return [unquote(address.path)]
    return ["--only-binary=:all:", f"{_OURSELVES}=={__version__}"]


def _for_host(facts: Facts) -> Iterator[str]:
    yield from (
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={facts.python[0]}.{facts.python[1]}",
    )
    yield from (f"--platform={platform}" for platform in platforms(facts.machine, facts.libc))


def platforms(machine: str, libc: tuple[str, str]) -> Iterator[str]:
    """Yield the wheel platforms that a machine takes, the newest first (PEP 600 for glibc, PEP 656 for musl)."""
    name, _, minor = libc[1].partition(".")
    if not re.fullmatch(r"[a-z0-9_]{1,32}", machine):
        raise SecretsmithError(
            Code.UNSUPPORTED, f"{machine!a} is no kind of machine that wheels are made for"
        )
    if libc[0] == "glibc" and name == "2" and re.fullmatch(r"[0-9]{1,2}", minor):
        for number in range(int(minor), _OLDEST_GLIBC - 1, -1):
            yield f"manylinux_2_{number}_{machine}"
            if number in _MANYLINUX:
                yield f"{_MANYLINUX[number]}_{machine}"
    else:
        yield from (f"musllinux_1_{number}_{machine}" for number in range(2, _OLDEST_MUSL - 1, -1))
    yield f"linux_{machine}"


def _pip(folder: Path, words: Sequence[str], environ: Mapping[str, str]) -> None:
    place = {"wheel": "--wheel-dir", "download": "--dest"}[words[0]]
    try:
        done = subprocess.run(
            # -P: a repository may hold a folder "pip", and python -m looks for it in the current folder first.
            [
                sys.executable,
                "-P",
                "-m",
                "pip",
                words[0],
                "--quiet",
                "--no-input",
                f"{place}={folder}",
                *words[1:],
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dict(environ),
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SecretsmithError(Code.REMOTE, f"pip {words[0]} did not end in {_SECONDS} s") from None
    if done.returncode == 0:
        return
    lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    hints = ("collect them elsewhere, and name the folder: --wheels DIR",)
    if any("No module named pip" in line for line in lines):
        raise NotFound(Code.NOT_FOUND, f"{sys.executable} has no pip to make wheels with", hints=hints)
    why = next(
        (line for line in lines if line.startswith("ERROR:")), lines[-1] if lines else "no reason given"
    )
    raise SecretsmithError(Code.REMOTE, f"pip {words[0]} failed: {why.removeprefix('ERROR: ')}", hints=hints)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


__all__ = ["HOST_PACKAGES", "environment_name", "gather_wheels", "modules_of", "platforms"]
