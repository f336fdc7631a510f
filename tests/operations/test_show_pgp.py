"""Documents that only a PGP key opens, through the program."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gnupg import GnuPG
from repositories import Fleet

CLEAR = b"mail: hunter2\n"
NAME = "secrets/web/app.yaml"


@pytest.fixture
def gnupg(tmp_path: Path, peer: Callable[[str], str]) -> Iterator[GnuPG]:
    made = GnuPG.make(tmp_path, peer("gpg"))
    yield made
    made.close()


@pytest.fixture
def fingerprint(fleet: Fleet, gnupg: GnuPG, peer: Callable[[str], str]) -> str:
    """Make the document with the real sops; give the key's fingerprint."""
    made = gnupg.key("alice")
    fleet.environ["GNUPGHOME"] = str(gnupg.home)
    target = fleet.root / NAME
    target.parent.mkdir(parents=True)
    target.write_bytes(CLEAR)
    argv = [peer("sops"), "--config", os.devnull, "encrypt", "--in-place", "--pgp", made, str(target)]
    subprocess.run(argv, env=fleet.environ, check=True, capture_output=True)
    return made


def test_it_is_shown_and_run(fleet: Fleet, fingerprint: str, tmp_path: Path) -> None:
    assert fleet.run("show", "web/app").stdout == CLEAR
    assert fleet.run("show", "web/app", "mail").stdout == b"hunter2"
    assert fleet.run("run", "web/app", "--", "printenv", "mail").stdout == b"hunter2\n"
    elsewhere = tmp_path / "app.yaml"
    elsewhere.write_bytes((fleet.root / NAME).read_bytes())
    assert fleet.run("show", str(elsewhere), cwd=tmp_path).stdout == CLEAR
    assert fleet.run("run", "./app.yaml", "--", "printenv", "mail", cwd=tmp_path).stdout == b"hunter2\n"


def test_without_gpg_it_says_pgp_and_what_to_install(fleet: Fleet, fingerprint: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "app.yaml"
    elsewhere.write_bytes((fleet.root / NAME).read_bytes())
    for words in (("show", "web/app"), ("show", str(elsewhere)), ("run", "web/app", "--", "/bin/true")):
        said = fleet.run(*words, code=5, PATH="/nonexistent").stderr.decode()
        assert "it is encrypted under PGP only" in said
        assert fingerprint in said
        assert "install the package gnupg" in said


def test_without_the_key_it_names_it(fleet: Fleet, fingerprint: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o700)
    said = fleet.run("show", "web/app", code=5, GNUPGHOME=str(empty)).stderr.decode()
    assert f"under PGP: {fingerprint}" in said
    assert "PGP: the secret key " in said
    assert " is not here" in said
