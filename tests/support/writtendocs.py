"""A fleet whose sops documents the real sops opens with carol's age key, and texts in every format."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from repositories import Fleet

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.documents.format import Format, format_of
from secretsmith.policy import edit
from secretsmith.policy.lock import Debt, Lock, dump_lock, parse_lock

# Tests look for it in memory file systems, where other processes run the same tests.
CANARY = b"hunter2-canary-%d" % os.getpid()
YAML = (
    b"# about this file\n"
    b"db:\n"
    b"    user:   app   # who\n"
    b"    password: " + CANARY + b"\n"
    b"\n"
    b"    # a list\n"
    b"    ports: [1, 2]\n"
    b"hosts:\n"
    b"- one\n"
    b"-   two # second\n"
    b"flag: true\n"
    b"---\n"
    b"other: value\n"
)
JSON = (
    b'{\n  "db": {"user": "app",   "password": "' + CANARY + b'"},\n'
    b'  "hosts": ["one", "two"],\n\n  "flag": true\n}\n'
)
DOTENV = b"# about\nUSER=app\n\nPASSWORD=" + CANARY + b"\n#end\n"
INI = b'; about\n[db]\nuser     = app\npassword = "' + CANARY + b'"\n\n[other]\nx=1\n'
BINARY = CANARY + b"\0\xff"

TEXTS = {"app.yaml": YAML, "app.json": JSON, "app.env": DOTENV, "app.ini": INI}
# sops cannot read a dotenv file whose lines end with CRLF.
CRLF = {f"crlf.{name[4:]}": text.replace(b"\n", b"\r\n") for name, text in TEXTS.items() if name != "app.env"}
ALL = {**TEXTS, **CRLF}


def password_of(name: str) -> str:
    """Give the key of the value :data:`CANARY` in a document of these texts."""
    return "PASSWORD" if name.endswith(".env") else "db/password"


class DocFleet(Fleet):
    """The fleet, in which carol reads everything below ``secrets/``."""

    sops_program: str = ""

    def add_carol(self, sops: str, keygen: str) -> None:
        """Make carol and let her read."""
        self.sops_program = sops
        key = self.private / "carol"
        subprocess.run([keygen, "-o", key], check=True, capture_output=True)
        said = subprocess.run([keygen, "-y", key], check=True, capture_output=True, text=True)
        self.public["carol"] = said.stdout.strip()
        self.change_registry(lambda text: edit.add_user(text, "carol", [self.public["carol"]]))
        self.change_registry(lambda text: edit.grant(text, ["secrets/**"], ["carol"]))
        self.accept_all()

    def sops(self, *words: str, who: str = "carol", code: int = 0) -> bytes:
        """Run the real sops with the key of ``who`` in the repository."""
        done = subprocess.run(
            [self.sops_program, *words],
            cwd=self.root,
            env={**os.environ, "HOME": "/nonexistent", "SOPS_AGE_KEY_FILE": str(self.private / who)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, done.stderr.decode()
        return done.stdout

    def sops_value(self, name: str, key: str) -> bytes:
        """Give one value, as the real sops extracts it."""
        path = "".join(f"[{part}]" if part.isdigit() else f'["{part}"]' for part in key.split("/"))
        return self.sops("decrypt", "--extract", path, f"secrets/{name}")

    def document(self, name: str) -> bytes:
        """Give the bytes of a document below ``secrets/``."""
        return (self.root / "secrets" / name).read_bytes()

    def make(self, name: str, text: bytes) -> bytes:
        """Make a document of a text in clear; give its sealed bytes."""
        if format_of(name) is Format.BINARY:
            source = self.private / "clear"
            source.write_bytes(text)
            keys = ",".join((self.public["carol"], self.derived("alice")))
            out = self.sops("encrypt", "--age", keys, "--input-type", "binary", str(source))
            (self.root / "secrets").mkdir(exist_ok=True)
            (self.root / "secrets" / name).write_bytes(out)
        else:
            self.run("set", f"secrets/{name}", stdin=text)
        return self.document(name)

    def derived(self, name: str) -> str:
        """Give the age recipient of an ssh key, as ssh-to-age does."""
        return parse_public_key(self.public[name]).derived

    @property
    def lock(self) -> Lock:
        """The lock as it is on the disk."""
        return parse_lock((self.root / "secretsmith.lock").read_text())

    def write_lock(self, lock: Lock) -> None:
        """Replace the lock."""
        (self.root / "secretsmith.lock").write_text(dump_lock(lock))

    def owe(self, *debts: Debt) -> None:
        """Put debt on the lock."""
        self.write_lock(self.lock.with_debt(debts))

    @property
    def owed(self) -> list[tuple[str | None, str]]:
        """The debt on the lock: keys and principals."""
        return [(debt.key, debt.principal) for debt in self.lock.debt]


def make_doc_fleet(folder: Path, sops: str, keygen: str) -> DocFleet:
    """Make the fleet below ``folder``."""
    fleet = DocFleet(folder)
    fleet.add_carol(sops, keygen)
    return fleet


def changed_lines(before: bytes, after: bytes) -> list[bytes]:
    """Give the lines that differ, as they are now, but for the stamp; the number of lines must be the same."""
    old, new = before.split(b"\n"), after.split(b"\n")
    assert len(old) == len(new), (before, after)
    return [now for was, now in zip(old, new, strict=True) if was != now and not _is_stamp(now)]


def _is_stamp(line: bytes) -> bool:
    name = line.split(b":")[0].split(b"=")[0].strip(b' \t"').removeprefix(b"sops_")
    return name in (b"mac", b"lastmodified")


__all__ = [
    "ALL",
    "BINARY",
    "CANARY",
    "CRLF",
    "TEXTS",
    "DocFleet",
    "changed_lines",
    "make_doc_fleet",
    "password_of",
]
