"""A thousand files, fifty hosts, ten users: a reinstalled host costs its own files, and knowing that nothing drifts costs none."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from bigfleet import CLEAR, VALUE, BigFleet, make_big_fleet
from injection import traced

from secretsmith.documents.format import Format, format_of
from secretsmith.errors import CannotDecrypt, Code
from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import NoInteraction
from secretsmith.operations.check import check
from secretsmith.operations.show import show_file

OPENED = re.compile(r"open(?:at2?)?\(.*= \d+<(\S*/secrets/\S*\.(?:age|yaml|json))>")
HOST = "host07"


@pytest.fixture
def big(tmp_path: Path) -> BigFleet:
    return make_big_fleet(tmp_path, files=1000, hosts=50, users=10)


def opened(peer: Callable[[str], str], big: BigFleet, log: Path, *argv: str) -> tuple[list[str], str]:
    """Run the program; return the secret files that it opened, and what it said."""
    done = traced(
        peer("strace"),
        ("-y", "-e", "trace=open,openat,openat2", "-o", str(log)),
        [sys.executable, "-m", "secretsmith", *argv],
        cwd=big.fleet.root,
        environ=big.fleet.environ,
        stdin=b"",
    )
    assert done.returncode == 0, done.stderr.decode()
    return OPENED.findall(log.read_text()), done.stderr.decode()


def test_one_host_is_reprovisioned_and_nothing_else_changes(
    big: BigFleet, tmp_path: Path, peer: Callable[[str], str]
) -> None:
    assert big.changed() == set()
    new = keys.ed25519_key(f"root@{HOST}")
    its = big.read_by(HOST)
    assert len(its) == 60 and {format_of(path) for path in its} == {Format.AGE, Format.YAML, Format.JSON}

    seen, said = opened(
        peer, big, tmp_path / "log", "host", "reprovision", HOST, "--key", new.public, "--yes"
    )
    assert "60 files rekeyed" in said
    assert len(seen) >= len(its)  # the count is of something
    assert big.changed() == {*its, "secretsmith.toml", "secretsmith.lock"}

    # At once: files that were just written are as well known as old ones.
    seen, said = opened(peer, big, tmp_path / "log", "rekey")
    assert (seen, said) == ([], "nothing to do\n")
    assert big.changed() == {*its, "secretsmith.toml", "secretsmith.lock"}
    found = check(big.fleet.project(), deep=True)
    assert {finding.code for finding in found} <= {Code.SINGLE_ADMIN}, found

    old = big.fleet.private / HOST
    fresh = new.write(tmp_path, "fresh")
    for path in sorted(its):
        assert opens(peer, fresh, big, path)
        assert not opens(peer, old, big, path)
    other = next(path for path in big.folders["secrets/20"] if path.endswith(".age"))
    assert opens(peer, big.fleet.private / "host20", big, other)


def opens(peer: Callable[[str], str], key: Path, big: BigFleet, path: str) -> bool:
    """Say whether a private key opens a file: by the real age where that can, by us for documents."""
    if format_of(path) is Format.AGE:
        done = subprocess.run(
            [peer("age"), "-d", "-i", key, big.fleet.root / path], capture_output=True, check=False
        )
        return done.returncode == 0 and done.stdout == VALUE
    ring = IdentityRing.of_files([key], NoInteraction())
    try:
        return show_file(big.fleet.root / path, path, ring).expose() == CLEAR[format_of(path)]
    except CannotDecrypt:
        return False


def test_retiring_a_host_drops_it_from_its_files_alone(big: BigFleet) -> None:
    its = big.read_by(HOST)
    said = big.fleet.run("host", "retire", HOST, "--compromised", "--yes").stderr.decode()
    assert f"{len(its)} files rekeyed" in said
    assert big.changed() == {*its, "secretsmith.toml", "secretsmith.lock"}
    assert {debt.path for debt in big.fleet.project().lock.debt} == its
