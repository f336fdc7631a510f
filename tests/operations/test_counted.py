"""How much is opened, sealed and parsed, counted in a process of its own: numbers that no machine makes faster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keys
from fleet import Fleet, make_fleet

from secretsmith.documents.format import Format
from secretsmith.documents.sopsnew import new_document
from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import NoInteraction
from secretsmith.operations.show import show_file

ROOT = Path(__file__).resolve().parents[2]
SEALED = re.compile(rb"ENC\[AES256_GCM,[^\]]*\]")
CLEAR = (
    b"# about\nmail:\n  smtp: hunter2 # old\n  port: 25\n  hosts:\n    - a\n    - b\ntext: |\n  one\n  two\n"
)
MANY = 1000

# Counts the calls of the cipher of values, which nothing else uses, before anything has taken hold of it.
COUNTING = """\
import json, sys
from collections import Counter
from cryptography.hazmat.primitives.ciphers import aead

counted = Counter()
class Counting:
    original = aead.AESGCM
    def __init__(self, key):
        self.cipher = self.original(key)
    def encrypt(self, *words):
        counted["sealed"] += 1
        return self.cipher.encrypt(*words)
    def decrypt(self, *words):
        counted["opened"] += 1
        return self.cipher.decrypt(*words)
aead.AESGCM = Counting

from secretsmith.cli.door import main
code = main(sys.argv[1:])
modules = sorted(name for name in sys.modules if name.partition(".")[0] in ("ruamel", "typer"))
print(json.dumps({"exit": code, "modules": modules, **counted}), file=sys.stderr)
"""


def counted(fleet: Fleet, *words: str) -> tuple[dict[str, Any], bytes]:
    """Run the program; give what was counted, and its output."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(fleet.home)}
    done = subprocess.run(
        [sys.executable, "-c", COUNTING, *words],
        cwd=fleet.root,
        env=environ | {"SECRETSMITH_IDENTITY": str(fleet.identity("alice"))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        timeout=300,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
    assert found.pop("exit") == 0, done.stderr[-2000:].decode()
    return found, done.stdout


def documents(fleet: Fleet, count: int) -> list[Path]:
    """Make documents that alice and web1 read, one in many places."""
    data = new_document(Format.YAML, CLEAR, [[fleet.key(name).derived for name in ("alice", "web1")]])
    assert len(SEALED.findall(data)) == 8  # five values, two comments, the MAC
    folder = fleet.root / "secrets" / "web"
    folder.mkdir(parents=True)
    paths = [folder / f"app{number:04}.yaml" for number in range(count)]
    for path in paths:
        path.write_bytes(data)
    return paths


def test_showing_one_value_opens_one(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, ("web1",))
    documents(fleet, 1)
    found, shown = counted(fleet, "show", "secrets/web/app0000.yaml", "mail/smtp")
    assert shown == b"hunter2"
    assert found == {"opened": 1, "modules": []}
    # The count is of something: the whole document has all of them, and the MAC.
    found, shown = counted(fleet, "show", "secrets/web/app0000.yaml")
    assert shown == CLEAR
    assert found == {"opened": 8, "modules": []}


def test_a_thousand_documents_get_a_reader_and_no_value_is_touched(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, ("web1",))
    paths = documents(fleet, MANY)
    before = SEALED.findall(paths[0].read_bytes())
    outside = paths[0].read_bytes().partition(b"\nsops:")[0]
    fleet.hosts["web2"] = keys.ed25519_key("root@web2")
    fleet.rules["secrets/web/**"] = ("web1", "web2")
    fleet.write()
    found, _ = counted(fleet, "rekey", "--accept", "all")
    assert found == {"modules": []}
    joined = fleet.key("web2").derived.encode()
    for path in paths:
        after = path.read_bytes()
        assert after.partition(b"\nsops:")[0] == outside
        assert SEALED.findall(after) == before
        assert joined in after
    ring = IdentityRing.of_files([fleet.identity("web2")], NoInteraction())
    assert show_file(paths[-1], paths[-1].name, ring).expose() == CLEAR


def test_a_new_data_key_seals_every_value_once(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, ("web1",))
    documents(fleet, 1)
    found, _ = counted(fleet, "rotate", "secrets/web/app0000.yaml", "--accept", "all")
    assert found["sealed"] == 8
    assert found["modules"] == []
