"""A source for tests, `fake:NAME`: an entry is a file $FAKE_STORE/NAME whose bytes are the value turned around.

Its digest is that of the file. Files besides the store steer it: $FAKE_STORE.locked makes every fetch fail as a locked store does,
$FAKE_STORE.starts makes `digest` start a program. Every call is a line in $FAKE_STORE.calls.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from secretsmith.errors import CannotDecrypt, Code, NotFound
from secretsmith.plugin.api import Fetched, PluginContext
from secretsmith.sensitive import Sensitive


class FakeSource:
    """See above."""

    api_version = 1

    def fetch(self, reference: str, context: PluginContext) -> Fetched:
        """Return the value."""
        self._called(context, f"fetch {reference}")
        if Path(f"{context.environ['FAKE_STORE']}.locked").exists():
            raise CannotDecrypt(Code.PASSPHRASE, "the store is locked", hints=("unlock it",))
        entry = self._entry(reference, context)
        if entry is None:
            raise NotFound(Code.NOT_FOUND, f"fake has no entry {reference}", hints=("look at the store",))
        data = entry.read_bytes()
        return Fetched(Sensitive(data[::-1]), hashlib.sha256(data).hexdigest())

    def digest(self, reference: str, context: PluginContext) -> str | None:
        """Return the digest of the file."""
        self._called(context, f"digest {reference}")
        if Path(f"{context.environ.get('FAKE_STORE')}.starts").exists():
            context.run(["true"])
        entry = self._entry(reference, context)
        return None if entry is None else hashlib.sha256(entry.read_bytes()).hexdigest()

    def _entry(self, reference: str, context: PluginContext) -> Path | None:
        store = context.environ.get("FAKE_STORE")
        path = Path(store, reference) if store else None
        return path if path and path.is_file() else None

    def _called(self, context: PluginContext, what: str) -> None:
        if store := context.environ.get("FAKE_STORE"):
            with Path(f"{store}.calls").open("a") as log:
                log.write(f"{what}\n")


class Store:
    """A store in ``folder``, and the environment in which `fake:` finds it and secretsmith finds `fake:`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "store"
        self.folder.mkdir(parents=True)
        site = folder / "site"
        info = site / "fakesource-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fakesource\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[secretsmith.sources]\nfake = fakesource:FakeSource\n")
        self.python_path = f"{site}:{Path(__file__).resolve().parent}"
        self.variable = str(self.folder)

    def put(self, name: str, value: bytes) -> None:
        """Make or change an entry."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value[::-1])

    def beside(self, name: str) -> Path:
        """Return the file `locked`, `starts` or `calls`."""
        return Path(f"{self.folder}.{name}")

    def calls(self) -> list[str]:
        """Return what the source was asked since the last time."""
        log = self.beside("calls")
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines
