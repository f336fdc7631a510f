"""A Debian that systemd-nspawn can boot, made by mmdebstrap, with secretsmith installed as a user would: in /opt, by pip.

The slow part (Debian's packages, the pinned wheels) is kept in a folder between runs; our own code is new each time.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = (
    "dbus",
    "libpam-systemd",
    "openssh-client",
    "openssh-server",
    "python3",
    "systemd",
    "systemd-sysv",
)
INSTALLED = Path("opt/secretsmith")
# What of this machine's apt the new root needs, to get its packages from where this machine gets them.
_APT_SETTINGS = re.compile(r'Acquire::(https?::Proxy|Check-Valid-Until) ".*";')
_UNWANTED = ("doc", "info", "locale", "man")


def copy_of_base(folder: Path, target: Path) -> None:
    """Make a root with all but our own code, by way of the one kept in ``folder``, which is made anew for another recipe."""
    suite, sources, settings = _apt()
    pins = runtime_pins()
    recipe = repr((suite, sources, settings, PACKAGES, pins, Path(__file__).read_bytes()))
    root = folder / f"root-{sha256(recipe.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            for older in folder.glob("root-*"):
                remove(older)
            draft = folder / f"{root.name}.draft"
            _bootstrap(draft, suite, sources, settings)
            _install_dependencies(draft, pins)
            draft.rename(root)
        copy_of(root, target)


def install_secretsmith(root: Path) -> None:
    """Put our code as it is now into a root, with its two programs, compiled as pip would."""
    packages = _site_packages(root)
    shutil.copytree(
        ROOT / "secretsmith", packages / "secretsmith", ignore=shutil.ignore_patterns("__pycache__")
    )
    for program, module in (("secretsmith", "door"), ("secretsmith-activate", "activate")):
        script = root / INSTALLED / "bin" / program
        script.write_text(
            f"#!/{INSTALLED}/bin/python3\nimport sys\n\nfrom secretsmith.cli.{module} import main\n\nsys.exit(main())\n"
        )
        script.chmod(0o755)
        os.symlink(f"/{INSTALLED}/bin/{program}", root / "usr/local/bin" / program)
    _chroot(
        root,
        f"/{INSTALLED}/bin/python3",
        "-m",
        "compileall",
        "-q",
        f"/{packages.relative_to(root)}/secretsmith",
    )


def copy_of(root: Path, target: Path) -> Path:
    """A root of one's own to boot and to change, but for the files below /usr and /opt, which nothing writes into: those are shared."""
    target.mkdir()
    for path in root.iterdir():
        is_shared = path.name in ("usr", "opt") and root.stat().st_dev == target.stat().st_dev
        how = "-al" if is_shared else "-a"
        subprocess.run(["cp", how, "--reflink=auto", str(path), str(target)], check=True)
    return target


def remove(root: Path) -> None:
    """Remove a root; one that is not there is fine."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=True)


def runtime_pins() -> str:
    """What secretsmith needs at run time, closed over dependencies, as the lines of requirements-dev.txt with their hashes."""
    blocks = {
        canonicalize_name(block.partition("==")[0]): block
        for block in re.split(
            r"^(?=[a-z0-9])", (ROOT / "requirements-dev.txt").read_text(), flags=re.MULTILINE
        )
    }
    return "".join(
        blocks[canonicalize_name(name)] for name in sorted(set(_needs("secretsmith", set(), set())))
    )


def _needs(name: str, extras: set[str], seen: set[tuple[str, str]]) -> Iterator[str]:
    for text in distribution(name).requires or ():
        found = Requirement(text)
        wanted = any(
            found.marker is None or found.marker.evaluate({"extra": extra}) for extra in {"", *extras}
        )
        key = (canonicalize_name(found.name), ",".join(sorted(found.extras)))
        if wanted and key not in seen:
            seen.add(key)
            yield key[0]
            yield from _needs(found.name, found.extras, seen)


def _apt() -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """This machine's own release, its sources as apt knows them, and its settings for fetching."""
    (suite,) = re.findall(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    listed = _output(
        "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"
    )
    sources = sorted(
        f"deb {line}" for line in set(listed.splitlines()) if re.match(rf"{suite}(-\w+)?\Z", line.split()[1])
    )
    settings = [line for line in _output("apt-config", "dump").splitlines() if _APT_SETTINGS.match(line)]
    return suite, tuple(sources), tuple(settings)


def _bootstrap(target: Path, suite: str, sources: tuple[str, ...], settings: tuple[str, ...]) -> None:
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _UNWANTED]
    command = [
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory"),
        *(f"--include={','.join(PACKAGES)}", *left_out),
        *(f"--aptopt={setting}" for setting in settings),
        *(suite, str(target), *sources),
    ]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, f"mmdebstrap failed\n{done.stderr[-4000:]}"
    # The installation of sshd makes host keys; each host has its own, or none yet.
    for key in (target / "etc/ssh").glob("ssh_host_*"):
        key.unlink()


def _install_dependencies(root: Path, pins: str) -> None:
    python = _python(root)
    home = root / INSTALLED
    packages = _site_packages(root)
    packages.mkdir(parents=True)
    (home / "bin").mkdir()
    os.symlink(f"/usr/bin/{python}", home / "bin/python3")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    listed = home / "requirements.txt"
    listed.write_text(pins)
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--no-compile"),
        *("--only-binary=:all:", "--implementation=cp", f"--python-version={python.removeprefix('python')}"),
        *(
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            f"--target={packages}",
            "-r",
            str(listed),
        ),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, f"pip failed\n{done.stderr[-4000:]}"
    _chroot(root, f"/{INSTALLED}/bin/python3", "-m", "compileall", "-q", f"/{packages.relative_to(root)}")


def _python(root: Path) -> str:
    return os.readlink(root / "usr/bin/python3")


def _site_packages(root: Path) -> Path:
    return root / INSTALLED / "lib" / _python(root) / "site-packages"


def _chroot(root: Path, *command: str) -> None:
    subprocess.run(["chroot", str(root), *command], check=True, stdin=subprocess.DEVNULL, timeout=300)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


__all__ = [
    "INSTALLED",
    "PACKAGES",
    "copy_of",
    "copy_of_base",
    "install_secretsmith",
    "remove",
    "runtime_pins",
]
