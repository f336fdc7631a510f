"""A folder in which secretsmith, sops and age meet: published keys, one set of readers, the real programs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.crypto.publickey import parse_public_key

ROOT = Path(__file__).resolve().parents[2]
KEYS = ROOT / "testkeys"
SSH, RSA, AGE, JOINER = "user_ed25519", "user_rsa", "age_x25519.txt", "sops-vectors/b.txt"
CONVERTED = "converted.txt"
"""The X25519 key of :data:`SSH`, as ssh-to-age makes it."""

_NAMELESS = (
    (re.compile(r"age1[a-z0-9]{20,}"), "age1…"),
    (re.compile(r"SHA256:[\w+/]{43}"), "SHA256:…"),
    (re.compile(r'unexpected intro: ".*"'), "unexpected intro: …"),
)
# What sops logs before it fails: with a date, or as a warning.
_LOGGED = re.compile(r"time=|\[warning\]|\d{4}/\d\d/\d\d ")


def public(name: str) -> str:
    """Give the public half of one of the keys, as people write it."""
    if name == CONVERTED:
        return parse_public_key(public(SSH)).derived
    if name.endswith(".txt"):
        found = re.search(r"public key: (\S+)", (KEYS / name).read_text())
        assert found
        return found[1]
    return (KEYS / f"{name}.pub").read_text().strip()


def _private(name: str) -> bytes:
    if name != CONVERTED:
        return (KEYS / name).read_bytes()
    key = parse_ssh_private_key((KEYS / SSH).read_bytes())
    assert isinstance(key, SshPrivateKey)
    assert key.derived is not None
    return key.derived.expose() + b"\n"


@dataclass(frozen=True)
class Kind:
    """Who reads, and what the person at the keyboard has of it.

    ``groups`` are keys by key group: what the registry has (an ssh key), and what sops is told (``sops``, by group, the same
    when empty). ``holds`` are the private keys at hand, ``joined`` those of the reader who comes later.
    """

    slug: str
    title: str
    groups: tuple[tuple[str, ...], ...]
    holds: tuple[str, ...]
    sops: tuple[tuple[str, ...], ...] = ()
    joined: tuple[str, ...] = (JOINER,)
    native: bool = False
    threshold: int = 0

    def recipients(self, joined: bool = False) -> list[list[str]]:
        """Give what sops and age encrypt to, by group."""
        groups = [[public(name) for name in group] for group in self.sops or self.groups]
        return [[*groups[0], *([public(JOINER)] if joined else [])], *groups[1:]]


_MIXED = ((SSH,), (AGE,), (RSA,))
_MIXED_SOPS = ((CONVERTED,), (AGE,), (RSA,))
KINDS = (
    Kind("native", "`ssh-ed25519`; the ssh key", ((SSH,),), (SSH,), native=True),
    Kind("derived", "`age1…` of an ssh key; the ssh key", ((SSH,),), (SSH,), sops=((CONVERTED,),)),
    Kind(
        "converted", "`age1…` of an ssh key; the converted key", ((SSH,),), (CONVERTED,), sops=((CONVERTED,),)
    ),
    Kind("age", "`age1…`; its key", ((AGE,),), (AGE,)),
    Kind("rsa", "`ssh-rsa`; the ssh key", ((RSA,),), (RSA,)),
    Kind(
        "groups",
        "2 of 3 key groups (`age1…` of an ssh key, `age1…`, `ssh-rsa`); the keys of two",
        _MIXED,
        (CONVERTED, RSA),
        sops=_MIXED_SOPS,
        joined=(JOINER, RSA),
        threshold=2,
    ),
    Kind(
        "too-few",
        "the same key groups; the key of one",
        _MIXED,
        (RSA,),
        sops=_MIXED_SOPS,
        joined=(JOINER,),
        threshold=2,
    ),
)


# Not frozen: Python sets an exception's traceback.
@dataclass(unsafe_hash=True)
class Failed(Exception):
    """A program said no: which, its exit code, and the line that it gave as the reason."""

    program: str
    exit: int
    line: str

    def __str__(self) -> str:
        return f"{self.program} exits {self.exit}: {self.line}"


@dataclass(frozen=True)
class Programs:
    """The words that start each program."""

    sops: str = ""
    age: str = ""
    secretsmith: tuple[str, ...] = (sys.executable, "-m", "secretsmith")

    def words(self, name: str) -> list[str]:
        """Give how the program ``name`` is started."""
        return list(self.secretsmith) if name == "secretsmith" else [str(getattr(self, name))]


def find_program(name: str) -> str | None:
    """Find a program on the path or beside this Python."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


@dataclass
class Bench:
    """One folder with files, and the programs that work in it, with the keys that a kind holds."""

    folder: Path
    kind: Kind
    programs: Programs
    _made: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for name in (SSH, RSA, AGE, JOINER, CONVERTED):
            path = self.key(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_private(name))
            path.chmod(0o600)
        (self.folder / "home").mkdir()
        self.here = self.folder

    def key(self, name: str) -> Path:
        """Give the file of a private key."""
        return self.folder / "keys" / name

    def fresh(self) -> None:
        """Go on in an empty folder."""
        self._made += 1
        self.here = self.folder / f"case{self._made}"
        self.here.mkdir()

    def describe(self, *, registry: bool, joined: bool = False) -> None:
        """Say who reads, to sops in ``.sops.yaml`` and to secretsmith in its registry."""
        (self.here / ".sops.yaml").write_text(_creation_rules(self.kind, joined))
        if registry:
            (self.here / "secretsmith.toml").write_text(_registry(self.kind, joined))

    def path(self, name: str) -> Path:
        """Give a file of the folder that the programs work in."""
        path = self.here / name
        path.parent.mkdir(exist_ok=True)
        return path

    def run(
        self, program: str, *words: str, stdin: bytes = b"", holds: Sequence[str] | None = None, **more: str
    ) -> bytes:
        """Run a program; gives its output. Raises :class:`Failed`."""
        held = self.kind.holds if holds is None else holds
        done = subprocess.run(
            [*self.programs.words(program), *words],
            input=stdin,
            capture_output=True,
            cwd=self.here,
            env=self._environ(held) | more,
            start_new_session=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            reason = _reason(done.stderr.decode(errors="replace"))
            raise Failed(program, done.returncode, reason.replace(f"{self.here}/", ""))
        return done.stdout

    def decrypted_by_age(self, name: str, holds: Sequence[str] | None = None) -> bytes:
        """Open a file with the real age."""
        held = self.kind.holds if holds is None else holds
        words = [word for each in held for word in ("-i", str(self.key(each)))]
        return self.run("age", "-d", *words, name)

    def _environ(self, held: Sequence[str]) -> dict[str, str]:
        environ = {
            "HOME": str(self.folder / "home"),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "SOPS_DISABLE_VERSION_CHECK": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        for name in held:
            variable = "SOPS_AGE_KEY_FILE" if name.endswith(".txt") else "SOPS_AGE_SSH_PRIVATE_KEY_FILE"
            environ[variable] = str(self.key(name))
        return environ


def _creation_rules(kind: Kind, joined: bool) -> str:
    groups = kind.recipients(joined)
    if len(groups) == 1:
        return f"creation_rules:\n  - age: '{','.join(groups[0])}'\n"
    lines = ["creation_rules:", f"  - shamir_threshold: {kind.threshold}", "    key_groups:"]
    for group in groups:
        lines += ["      - age:", *(f"          - '{recipient}'" for recipient in group)]
    return "\n".join(lines) + "\n"


_PEOPLE = {SSH: "alice", AGE: "bob", RSA: "carol"}


def _registry(kind: Kind, joined: bool) -> str:
    lines = ["[secretsmith]", "version = 1"]
    names: list[list[str]] = []
    for number, group in enumerate(kind.groups):
        names.append([_PEOPLE[key] for key in group])
        for key in group:
            lines += [
                f"[users.{_PEOPLE[key]}]",
                f'keys = ["{public(key)}"]',
                f"admin = {str(not number).lower()}",
            ]
    if joined:
        names[0].append("dora")
        lines += ["[users.dora]", f'keys = ["{public(JOINER)}"]']
    readers = [name for group in names for name in group]
    lines += ["[[rules]]", 'path = "secrets/**"', f"readers = {_listed(readers)}"]
    if kind.threshold:
        grouped = ", ".join(_listed(group) for group in names)
        lines += [f"key_groups = [{grouped}]", f"shamir_threshold = {kind.threshold}"]
    return "\n".join(lines) + "\n"


def _listed(words: Sequence[str]) -> str:
    return json.dumps(list(words))  # a TOML list of plain words is written the same


def _reason(stderr: str) -> str:
    """Give the line that says why, without what differs from run to run."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    lines = [line for line in lines if not _LOGGED.match(line)] or [""]
    line = next((line for line in lines if "error:" in line), lines[0])
    for pattern, shown in _NAMELESS:
        line = pattern.sub(shown, line)
    return line


__all__ = ["KINDS", "Bench", "Failed", "Kind", "Programs", "find_program", "public"]
