"""What is tried between secretsmith and another program, one function for each cell of docs/reference/interop.md.

Each starts in a folder of its own with a file that one of the programs made, and ends when the other has read what came of
it. What a program refuses is :class:`interopbench.Failed`; what it gets wrong, an ``AssertionError``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interopbench import JOINER, SSH, Bench, public

OLD, NEW = b"hunter2", b"correct horse"


@dataclass(frozen=True)
class Kept:
    """One format: the text in clear, what it says as JSON, and how both programs name the value that changes."""

    suffix: str
    clear: bytes
    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """The file."""
        return f"secrets/app{self.suffix}"

    @property
    def key(self) -> tuple[str, ...]:
        """The value's slash path, as a word if there is one."""
        return ("/".join(self.path),) if self.path else ()

    @property
    def sops_key(self) -> str:
        """The value's path as sops has it."""
        return "".join(f"[{json.dumps(step)}]" for step in self.path)


FORMATS = {
    "YAML": Kept(".yaml", b"# mail\nmail:\n    smtp: hunter2\n    port: 25 # usual\n", ("mail", "smtp")),
    "JSON": Kept(".json", b'{\n\t"mail": {\n\t\t"smtp": "hunter2",\n\t\t"port": 25\n\t}\n}\n', ("mail", "smtp")),
    "dotenv": Kept(".env", b"# mail\nSMTP=hunter2\nPORT=25\n", ("SMTP",)),
    "INI": Kept(".ini", b"; mail\n[mail]\nsmtp = hunter2\nport = 25\n", ("mail", "smtp")),
    "binary": Kept(".bin", b"hunter2\x00\xff\n", ()),
}  # fmt: skip


class Documents:
    """sops documents of one format, in a folder with a registry and a ``.sops.yaml`` that say the same."""

    registry = True

    def __init__(self, bench: Bench, kept: Kept) -> None:
        self.bench, self.kept = bench, kept

    # Who makes the file.

    def by_sops(self) -> None:
        self._start()
        self.bench.run("sops", "encrypt", "--in-place", self.kept.name)

    def by_us(self) -> None:
        self._start()
        self._sealed_by_us()
        if self.registry and self.bench.kind.native:
            self.bench.run("secretsmith", "rekey", "--form", "native", "--accept", "all")
        assert b"sops" in self._data()
        assert self.kept.clear not in self._data()

    def _sealed_by_us(self) -> None:
        if self.kept.path:
            # Not there before: `set` makes it.
            self.bench.path(self.kept.name).unlink()
            self.bench.run("secretsmith", "set", self.kept.name, "--accept", "all", stdin=self.kept.clear)
        else:
            # A new name without a suffix of sops would become an age file.
            self.bench.run("secretsmith", "encrypt", "--in-place", self.kept.name, "--accept", "all")

    def _start(self) -> None:
        self.bench.fresh()
        self.bench.describe(registry=self.registry)
        self.bench.path(self.kept.name).write_bytes(self.kept.clear)

    def _data(self) -> bytes:
        return self.bench.path(self.kept.name).read_bytes()

    # Who reads it.

    def read_by_us(self, value: bytes = OLD, holds: Sequence[str] | None = None) -> None:
        whole = self.bench.run("secretsmith", "decrypt", *self._as_json(), self.kept.name, holds=holds)
        self._compare(whole, value)

    def read_by_sops(self, value: bytes = OLD, holds: Sequence[str] | None = None) -> None:
        whole = self.bench.run("sops", "decrypt", *self._as_json(), self.kept.name, holds=holds)
        self._compare(whole, value)

    def _as_json(self) -> tuple[str, ...]:
        return ("--output-type", "json") if self.kept.path else ()

    def _binary(self, value: bytes) -> bytes:
        return self.kept.clear.replace(OLD, value)

    def _compare(self, shown: bytes, value: bytes) -> None:
        if not self.kept.path:
            assert shown == self._binary(value)
            return
        tree: Any = json.loads(shown)
        for step in self.kept.path[:-1]:
            tree = tree[step]
        assert {name.lower(): str(each) for name, each in tree.items()} == {
            "smtp": value.decode(),
            "port": "25",
        }

    # Who changes it.

    def changed_by_us(self) -> None:
        value = NEW if self.kept.key else self._binary(NEW)
        self.bench.run("secretsmith", "set", self.kept.name, *self.kept.key, *self._accept(), stdin=value)

    def changed_by_sops(self) -> None:
        if self.kept.path:
            value = json.dumps(NEW.decode())
            self.bench.run("sops", "set", self.kept.name, self.kept.sops_key, value)
            return
        new = self.bench.path("new")
        new.write_bytes(self._binary(NEW))
        self.bench.run("sops", "edit", self.kept.name, EDITOR=f"{shutil.which('cp')} {new}")

    def _accept(self) -> tuple[str, ...]:
        return ("--accept", "all") if self.registry else ()

    def rekeyed_by_us(self) -> None:
        self.bench.describe(registry=True, joined=True)
        self.bench.run("secretsmith", "rekey", "--accept", "all")
        self._joined()

    def rekeyed_by_sops(self) -> None:
        self.bench.describe(registry=True, joined=True)
        self.bench.run("sops", "updatekeys", "--yes", self.kept.name)
        self._joined()

    def _joined(self) -> None:
        assert public(JOINER) in self.bench.path(self.kept.name).read_text()

    # The cells.

    def we_read(self) -> None:
        self.by_sops()
        self.read_by_us()
        one = self.bench.run("secretsmith", "show", self.kept.name, *self.kept.key)
        assert one == (OLD if self.kept.path else self.kept.clear)

    def they_read(self) -> None:
        self.by_us()
        self.read_by_sops()
        if self.kept.path:
            words = ("decrypt", "--extract", self.kept.sops_key, self.kept.name)
            assert self.bench.run("sops", *words) == OLD

    def we_update(self) -> None:
        self.by_sops()
        self.changed_by_us()
        self.read_by_sops(NEW)

    def they_update(self) -> None:
        self.by_us()
        self.changed_by_sops()
        self.read_by_us(NEW)

    def we_rekey(self) -> None:
        self.by_sops()
        self.rekeyed_by_us()
        self.read_by_sops()
        self.read_by_sops(holds=self.bench.kind.joined)

    def they_rekey(self) -> None:
        self.by_us()
        self.rekeyed_by_sops()
        self.read_by_us()
        self.read_by_us(holds=self.bench.kind.joined)

    def age_reads(self) -> None:
        self.by_us()
        self.bench.decrypted_by_age(self.kept.name)


class Unregistered(Documents):
    """The same without a registry: by ``.sops.yaml`` and what the documents say themselves."""

    registry = False

    def _sealed_by_us(self) -> None:
        self.bench.run("secretsmith", "encrypt", "--in-place", self.kept.name)

    def we_rotate(self) -> None:
        self.by_sops()
        self.bench.run("secretsmith", "rotate", self.kept.name)
        self.read_by_sops()

    def they_rotate(self) -> None:
        self.by_us()
        self.bench.run("sops", "rotate", "--in-place", self.kept.name)
        self.read_by_us()


class AgeFiles:
    """``.age`` files, in a folder with a registry."""

    name = "secrets/app.age"

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def by_age(self, value: bytes = OLD) -> None:
        self._start()
        self._sealed(value)

    def _sealed(self, value: bytes) -> None:
        groups = self.bench.kind.recipients()
        words = [word for group in groups for recipient in group for word in ("-r", recipient)]
        self.bench.path(self.name)
        self.bench.run("age", *words, "-o", self.name, stdin=value)

    def by_us(self) -> None:
        self._start()
        self.bench.run("secretsmith", "set", self.name, "--accept", "all", stdin=OLD)
        kind = self.bench.kind
        if not kind.native and kind.sops:
            self.bench.run("secretsmith", "rekey", "--form", "derived", "--accept", "all", holds=(SSH,))

    def _start(self) -> None:
        self.bench.fresh()
        self.bench.describe(registry=True)

    def read_by_us(self, value: bytes = OLD) -> None:
        assert self.bench.run("secretsmith", "show", self.name) == value

    def read_by_age(self, value: bytes = OLD, holds: Sequence[str] | None = None) -> None:
        assert self.bench.decrypted_by_age(self.name, holds) == value

    def we_read(self) -> None:
        self.by_age()
        self.read_by_us()

    def they_read(self) -> None:
        self.by_us()
        self.read_by_age()

    def we_update(self) -> None:
        self.by_age()
        self.bench.run("secretsmith", "set", self.name, "--accept", "all", stdin=NEW)
        self.read_by_age(NEW)

    def they_update(self) -> None:
        self.by_us()
        self.read_by_age()  # age has no command that changes a file: opened and made anew
        self._sealed(NEW)
        self.read_by_us(NEW)

    def we_rekey(self) -> None:
        self.by_age()
        # Finds nothing to change, and records who reads the file, while the registry tells.
        self.bench.run("secretsmith", "rekey", "--accept", "all")
        self.bench.describe(registry=True, joined=True)
        self.bench.run("secretsmith", "rekey", "--accept", "all")
        self.read_by_age()
        self.read_by_age(holds=self.bench.kind.joined)

    def sops_reads(self) -> None:
        self.by_age()
        self.bench.run("sops", "decrypt", self.name)


Cell = Callable[[], None]
Columns = Mapping[str, str]
"""Title of a column → name of the method."""

DOCUMENT_COLUMNS: Columns = {
    "secretsmith reads": "we_read",
    "sops reads": "they_read",
    "secretsmith updates": "we_update",
    "sops updates": "they_update",
    "secretsmith rekeys": "we_rekey",
    "sops updates keys": "they_rekey",
}
UNREGISTERED_COLUMNS: Columns = {
    "secretsmith reads": "we_read",
    "sops reads": "they_read",
    "secretsmith updates": "we_update",
    "sops updates": "they_update",
    "secretsmith rotates": "we_rotate",
    "sops rotates": "they_rotate",
}
AGE_COLUMNS: Columns = {
    "secretsmith reads": "we_read",
    "age reads": "they_read",
    "secretsmith updates": "we_update",
    "age writes anew": "they_update",
    "secretsmith rekeys": "we_rekey",
}

__all__ = [
    "AGE_COLUMNS",
    "DOCUMENT_COLUMNS",
    "FORMATS",
    "UNREGISTERED_COLUMNS",
    "AgeFiles",
    "Documents",
    "Kept",
    "Unregistered",
]
