"""What `check` costs when nothing has changed: counted by strace, which no machine makes faster."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fleet import Fleet, make_fleet
from injection import traced

from secretsmith.crypto.publickey import Form
from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.operations.readers import sealing_recipients, wanted_by
from secretsmith.project import writing
from secretsmith.sensitive import Sensitive
from secretsmith.store.index import RACY_NS

ROOT = Path(__file__).resolve().parents[2]
MANY = 1000
CHECK = [sys.executable, "-m", "secretsmith", "check", "--json"]


def fill(fleet: Fleet) -> None:
    """Write the files as secretsmith does, all in one transaction."""
    with writing(fleet.project()) as session:
        for number in range(MANY):
            path = f"secrets/web/{number:04}.age"
            keys = wanted_by(session.project, path).keys
            (fleet.root / path).parent.mkdir(parents=True, exist_ok=True)
            data = seal_value(Format.AGE, Sensitive(b"x"), sealing_recipients(keys, Form.NATIVE), armor=False)
            session.stage_secret(path, data, keys, expect=None)
        session.commit()


def opened(fleet: Fleet, strace: str, log: Path) -> tuple[set[str], set[str]]:
    """Run a check; give the codes it found, and the secrets that were opened for it."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(fleet.home), "PYTHONPATH": str(ROOT)}
    options = ("-e", "trace=open,openat,openat2", "-o", str(log))
    done = traced(strace, options, CHECK, cwd=fleet.root, environ=environ, stdin=b"")
    assert done.returncode == 3, done.stderr
    names = re.findall(r'"(?:[^"]*/)?(\d{4}\.age)"', log.read_text())
    return {item["code"] for item in json.loads(done.stdout)["findings"]}, set(names)


def test_a_thousand_files_that_are_known_are_not_opened(tmp_path: Path, peer: Callable[[str], str]) -> None:
    fleet, strace, log = make_fleet(tmp_path), peer("strace"), tmp_path / "log"
    fill(fleet)
    time.sleep(RACY_NS / 1e9 + 0.1)  # what is younger than a tick of the clock is never taken for unchanged
    codes, names = opened(fleet, strace, log)
    assert codes == {"E_SINGLE_ADMIN"}
    assert len(names) == MANY, "the count is of something: the first look is at all of them"
    assert opened(fleet, strace, log) == ({"E_SINGLE_ADMIN"}, set())
    # What is known is the content, not the readers: new rules need no file either.
    fleet.rules["secrets/web/**"] = ("web1",)
    fleet.write()
    assert opened(fleet, strace, log) == ({"E_SINGLE_ADMIN", "E_DRIFT"}, set())
    (fleet.root / "secrets/web/0007.age").write_text("hunter2\n")
    codes, names = opened(fleet, strace, log)
    assert "E_PLAINTEXT" in codes
    assert names == {"0007.age"}
