"""What all cases share: keys, sealed files, a folder for each trial, and the environment of the programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from benchmarks.programs import environment, link_peers, version_of
from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.crypto.publickey import PublicKey, parse_public_key
from secretsmith.crypto.sshkeygen import generate_ssh_key
from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.documents.sopsnew import new_document
from secretsmith.sensitive import Sensitive

MOST_READERS: Final = 100
DISTINCT: Final = {"age": 1000, "yaml": 50}
"""How many different files there are; larger fleets have copies of them under other names."""


@dataclass(frozen=True)
class Key:
    """A key pair; ``native`` and ``derived`` are files with the ssh private key and with its ``AGE-SECRET-KEY-1…``."""

    public: PublicKey
    native: Path
    derived: Path


class Workshop:
    """One run of the benchmarks, in ``folder``. ``mounts``: this process may mount, in a namespace of its own."""

    def __init__(self, folder: Path, *, mounts: bool = False) -> None:
        self.folder, self.mounts = folder, mounts
        (folder / "bin").mkdir()
        (folder / "home").mkdir()
        link_peers(folder / "bin")
        self.gnupg = folder / "g"  # short: the path of the agent's socket may have 107 bytes
        self.env = environment(folder / "home", folder / "bin")
        self._made = 0
        self._sealed: dict[tuple[str, int], list[bytes]] = {}

    def missing(self, names: Iterable[str]) -> list[str]:
        """Say which of these programs or Python packages there are not."""
        return [name for name in names if not (self.folder / "bin" / name).exists() and not version_of(name)]

    def fresh(self) -> Path:
        """Make an empty folder, in which one trial has all that it needs."""
        self._made += 1
        place = self.folder / f"trial{self._made}"
        place.mkdir()
        return place

    def clear(self) -> None:
        """Remove the folders of trials, and unmount what they mounted."""
        for place in self.folder.glob("trial*"):
            self.unmount(place)
            shutil.rmtree(place)

    def close(self) -> None:
        """End the agent that gpg may have started in its throw-away home, and no other, and clear up."""
        if self.gnupg.exists():
            words = ["gpgconf", "--homedir", str(self.gnupg), "--kill", "all"]
            subprocess.run(words, env=self.env, check=False, capture_output=True)
        self.clear()

    def unmount(self, place: Path) -> None:
        """Unmount what is mounted below ``place``, in our own namespace."""
        if not self.mounts:
            return
        points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for point in sorted((p for p in points if p.startswith(f"{place}{os.sep}")), reverse=True):
            subprocess.run(["umount", point], check=True)

    @cached_property
    def keys(self) -> Sequence[Key]:
        """Keys of as many readers as any case has, and of two more who come and go."""
        places = self.folder / "keys"
        places.mkdir()
        return [_key(places, number) for number in range(MOST_READERS + 2)]

    def sealed(self, suffix: str, readers: int, count: int) -> list[bytes]:
        """Give ``count`` files for the first ``readers`` keys: values in age files, in native form, or documents of ten keys."""
        made = self._sealed.setdefault((suffix, readers), [])
        keys = [key.public for key in self.keys[:readers]]
        for number in range(len(made), min(count, DISTINCT[suffix])):
            if suffix == "age":
                value = Sensitive(value_of(number))
                made.append(seal_value(Format.AGE, value, [key.text for key in keys], armor=False))
            else:
                made.append(new_document(Format.YAML, clear_document(10), [[key.derived for key in keys]]))
        return [made[number % len(made)] for number in range(count)]


def value_of(number: int) -> bytes:
    """Give the value in the age file of this number, of the length of a password."""
    return b"a value of a usual length, %d" % (number % DISTINCT["age"])


def clear_document(keys: int) -> bytes:
    """Give a YAML document of so many values, ten in a mapping."""
    lines = []
    for number in range(keys):
        if number % 10 == 0:
            lines.append(f"service{number // 10}:\n")
        lines.append(f"    key{number % 10}: value number {number}\n")
    return "".join(lines).encode()


def _key(folder: Path, number: int) -> Key:
    private, line = generate_ssh_key(f"key{number}")
    parsed = parse_ssh_private_key(private.expose())
    assert isinstance(parsed, SshPrivateKey)
    assert parsed.derived is not None
    native, derived = folder / f"key{number}", folder / f"key{number}.txt"
    for path, data in ((native, private.expose()), (derived, parsed.derived.expose() + b"\n")):
        path.touch(mode=0o600)
        path.write_bytes(data)
    return Key(parse_public_key(line), native, derived)


__all__ = ["DISTINCT", "MOST_READERS", "Key", "Workshop", "clear_document", "value_of"]
