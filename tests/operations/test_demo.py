"""The demo as a whole, on each kind of machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_DEMO = "from secretsmith.cli.door import main; raise SystemExit(main(['demo']))"
_AS_FOLDER = (
    "import secretsmith.operations.demo.story as story; "
    "story.enter_namespace = lambda: story.Place.FOLDER; " + _DEMO
)


def play(code: str, tmp_path: Path, **options: object) -> str:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "NO_COLOR": "1"}
    done = subprocess.run(  # type: ignore[call-overload]
        [sys.executable, "-c", code],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        **options,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert list(tmp_path.iterdir()) == []  # nothing of it is left
    return str(done.stdout)


def common(printed: str) -> None:
    assert "hunter2" in printed
    assert "the host key changed: the machine was probably reinstalled" in printed
    assert 'secretsmith host reprovision web1 --key "ssh-ed25519' in printed
    assert "(exit 5, as it should)" in printed
    # After the reinstall and the rekey web1 has both files again.
    assert printed.rstrip().endswith("nothing of this is left on the machine")
    again = printed[printed.index("== On web1 again") :]
    assert "generation 2: +2 new" in again


@pytest.mark.skipif(os.geteuid() != 0, reason="owners need root")
def test_as_root_with_owners(tmp_path: Path) -> None:
    printed = play(_DEMO, tmp_path)
    common(printed)
    assert "real owners" in printed
    assert "0400 root:root" not in printed


def test_where_mounting_is_forbidden(tmp_path: Path) -> None:
    printed = play(_AS_FOLDER, tmp_path)
    common(printed)
    assert "a plain folder stands in for the RAM filesystem" in printed


def test_without_ssh_keygen_it_says_so(tmp_path: Path) -> None:
    without = "import shutil; find = shutil.which; shutil.which = lambda n, *a, **k: None if n == 'ssh-keygen' else find(n, *a, **k); "
    printed = play(without + _DEMO, tmp_path)
    common(printed)
    assert "the keys are made by Python's cryptography" in printed
