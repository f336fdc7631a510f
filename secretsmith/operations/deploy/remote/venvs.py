"""secretsmith's own Python environments on a host: ``/opt/secretsmith/NAME``, and the link ``current`` to one of them.

An environment is made to the end, tried, and written to the disk before the link is turned. No index is asked: the wheels came along.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress

from secretsmith.operations.deploy.remote.channel import Refused, run
from secretsmith.operations.deploy.remote.folders import (
    link_target,
    locked,
    nobody_else_s,
    open_folder,
    replace_link,
    write_below,
)

VENVS = "/opt/secretsmith"
PROGRAMS = "/usr/local/bin"
ACTIVATE = "secretsmith-activate"
_LINKED = ("secretsmith", ACTIVATE)
_CURRENT = "current"
_WHOLE = "whole"
_WHEELS = "wheels"
# Only folders with such names are ever removed: an administrator's own environment may lie beside.
_NAME = re.compile(r"[0-9]+\.[0-9A-Za-z.+]{1,64}-[0-9a-f]{8}")
_PIP = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from pip._internal.cli.main import main; sys.exit(main(sys.argv[1:]))"
)


def find_program(venvs: str = VENVS) -> str | None:
    """Return the path of the secretsmith-activate to use: that of a deploy, else what somebody installed.

    It is run as root at once, to ask its version, so one that another user could have put there is as good as none.
    """
    for folder in (f"{venvs}/{_CURRENT}/bin", f"{venvs}/bin", PROGRAMS, "/usr/bin"):
        path = f"{folder}/{ACTIVATE}"
        if os.access(path, os.X_OK) and _ours(path, venvs):
            return path
    return shutil.which(ACTIVATE, path="/run/current-system/sw/bin")


def _ours(path: str, venvs: str) -> bool:
    real = os.path.realpath(path)
    if os.path.dirname(real) == PROGRAMS:
        # Root's search path: what may write there (root:staff on some a Debian) is root already.
        return os.stat(real).st_uid in (0, os.geteuid()) and not os.stat(real).st_mode & 0o002
    return nobody_else_s(real) and (not path.startswith(f"{venvs}/") or nobody_else_s(venvs))


def command(program: str, *arguments: str) -> list[str]:
    """Return the words that run secretsmith-activate.

    By way of the link, not of the environment behind it: units are to name what stays there when versions change.
    """
    python = os.path.join(os.path.dirname(program), "python3")
    if f"/{_CURRENT}/" in program and os.access(python, os.X_OK):
        return [python, "-I", "-m", "secretsmith.cli.activate", *arguments]
    return [program, *arguments]


def version_of(program: str) -> str | None:
    """Return the version that a program says it is."""
    try:
        status, output, _ = run(command(program, "--version"))
    except Refused:
        return None
    words = output.split()
    return words[-1] if status == 0 and words else None


def whole_venvs(venvs: str = VENVS) -> list[str]:
    """Return the names of the environments that were made to the end."""
    try:
        names = os.listdir(venvs)
    except OSError:
        return []
    return sorted(
        name for name in names if _NAME.fullmatch(name) and os.path.isfile(f"{venvs}/{name}/{_WHOLE}")
    )


def bootstrap(
    name: str,
    version: str,
    wheels: Sequence[tuple[str, bytes]],
    imports: Sequence[str] = (),
    *,
    python: str,
    venvs: str = VENVS,
) -> None:
    """Make the environment ``name`` from ``wheels`` unless it is there, and turn the link to it.

    ``imports`` are modules that have to load there first: the next boot depends on what the link leads to.

    Raises:
        Refused: Python's venv is missing; pip or the new program fails; a place that others could have prepared.
    """
    if not _NAME.fullmatch(name):
        raise Refused("E_PATH_UNSAFE", f"{name!a} is no name of an environment")
    folder = open_folder(venvs, 0o755)
    try:
        with locked(folder, venvs):
            _sweep(folder, {name, link_target(folder, _CURRENT)})
            if name not in whole_venvs(venvs):
                _make(folder, f"{venvs}/{name}", wheels, imports, python, version)
            replace_link(folder, _CURRENT, name)
            _link_programs(venvs)
    finally:
        os.close(folder)


def _make(
    folder: int,
    place: str,
    wheels: Sequence[tuple[str, bytes]],
    imports: Sequence[str],
    python: str,
    version: str,
) -> None:
    name = os.path.basename(place)
    with suppress(FileNotFoundError):
        shutil.rmtree(name, dir_fd=folder)
    made = open_folder(place, 0o755, within=folder)
    try:
        for wheel, data in wheels:
            write_below(made, f"{_WHEELS}/{wheel}", data, 0o600)
        _install(place, [wheel for wheel, _ in wheels], python)
        shutil.rmtree(_WHEELS, dir_fd=made)
        _try(place, imports, version)
        os.sync()  # thousands of files of others' making
        write_below(made, _WHOLE, version.encode(), 0o644)
    except BaseException:
        shutil.rmtree(name, dir_fd=folder, ignore_errors=True)
        raise
    finally:
        os.close(made)


def _try(place: str, imports: Sequence[str], version: str) -> None:
    """Refuse an environment that does not work. ``--version`` alone loads none of what is compiled for one kind of machine."""
    if imports:
        script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
        status, output, errors = run([f"{place}/bin/python3", "-I", "-c", script, *imports])
        if status != 0:
            raise Refused("E_REMOTE", f"what was installed does not load there: {_last(errors or output)}")
    if version_of(f"{place}/bin/{ACTIVATE}") != version:
        raise Refused("E_REMOTE", f"the new {ACTIVATE} does not run there, or is not {version}")


def _install(place: str, wheels: Sequence[str], python: str) -> None:
    pip = [wheel for wheel in wheels if wheel.startswith("pip-")]
    # With pip among the wheels, a Debian without python3-venv will do: what it lacks is the pip for new environments.
    status, output, errors = run([python, "-I", "-m", "venv", *(["--without-pip"] if pip else []), place])
    if status != 0:
        raise Refused(
            "E_NOT_FOUND",
            f"python3 cannot make an environment there: {_last(errors or output)}",
            "there, as root: apt install python3-venv (Debian, Ubuntu)",
        )
    inside = f"{place}/bin/python3"
    start = [inside, "-I", "-c", _PIP, f"{place}/{_WHEELS}/{pip[0]}"] if pip else [inside, "-I", "-m", "pip"]
    chosen = [f"{place}/{_WHEELS}/{wheel}" for wheel in wheels if wheel not in pip]
    options = ("--no-index", "--no-deps", "--no-input", "--no-cache-dir", "--disable-pip-version-check")
    status, output, errors = run(
        [*start, "--isolated", "install", "--quiet", *options, "--root-user-action=ignore", *chosen],
        {"PIP_CONFIG_FILE": os.devnull},
    )
    if status != 0:
        raise Refused(
            "E_REMOTE",
            f"pip cannot install the wheels there: {_last(errors or output)}",
            f"they have to be made for {platform.python_implementation()} {platform.python_version()}"
            f" on {platform.machine()}",
        )


def _link_programs(venvs: str) -> None:
    """Put the programs on the search path, where nobody has put any: what the host says of itself is asked with them."""
    for program in _LINKED:
        path, target = f"{PROGRAMS}/{program}", f"{venvs}/{_CURRENT}/bin/{program}"
        with suppress(OSError):
            os.symlink(target, path)


def _sweep(folder: int, kept: Iterable[str | None]) -> None:
    """Remove environments of earlier deploys; a newer one takes over before its forerunner goes."""
    for name in set(os.listdir(folder)) - set(kept):
        if _NAME.fullmatch(name):
            shutil.rmtree(name, dir_fd=folder, ignore_errors=True)


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


__all__ = ["ACTIVATE", "VENVS", "bootstrap", "command", "find_program", "version_of", "whole_venvs"]
