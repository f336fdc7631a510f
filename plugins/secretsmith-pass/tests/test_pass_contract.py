"""The contract that every source keeps, for all three."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from gnupg import GnuPG
from passstores import PassStore

from secretsmith.plugin.api import Source, StoringSource
from secretsmith.sensitive import Sensitive
from secretsmith.testing import SourceCase, SourceContract, sample_context
from secretsmith_pass import gopass_source, pass_source, passage_source

ROOT = Path(__file__).resolve().parents[3]
IDENTITY = ROOT / "testkeys" / "host_ed25519"
RECIPIENT = (ROOT / "testkeys" / "host_ed25519.pub").read_text()
VALUE = b"canary of a store"


class TestPassSource(SourceContract):
    @pytest.fixture(autouse=True)
    def _real(self, gnupg: GnuPG, store: PassStore) -> None:
        self.gnupg, self.program = gnupg, store.program

    def source(self) -> Source:
        return pass_source()

    def case(self, folder: Path) -> SourceCase:
        store = PassStore(folder / "home", self.gnupg, self.program)
        store.run("init", "alice@example.org")
        store.insert("web/db", VALUE + b"\nuser: alice\n")

        def change() -> None:
            store.insert("web/db", b"another value\n")

        return SourceCase("web/db", VALUE, "web/nothing", change, store.environ)


class TestPassageSource(SourceContract):
    def source(self) -> Source:
        return passage_source()

    def environ(self, folder: Path) -> dict[str, str]:
        return {"HOME": str(folder), "PASSAGE_DIR": str(folder), "PASSAGE_IDENTITIES_FILE": str(IDENTITY)}

    def case(self, folder: Path) -> SourceCase:
        environ = {**self.environ(folder), "SECRETSMITH_IDENTITY": str(IDENTITY)}
        (folder / ".age-recipients").write_text(f"# the host\n{RECIPIENT}\n")
        writing = sample_context(_made(folder.parent / "writing"), environ)

        def write(value: bytes) -> None:
            sealed = writing.seal_age(_sensitive(value), [RECIPIENT])
            (folder / "web").mkdir(exist_ok=True)
            (folder / "web" / "db.age").write_bytes(sealed)

        write(VALUE + b"\nuser: alice\n")
        return SourceCase("web/db", VALUE, "web/nothing", lambda: write(b"another"), environ)


class TestGopassSource(TestPassageSource):
    def source(self) -> Source:
        return gopass_source()

    def environ(self, folder: Path) -> dict[str, str]:
        return {"HOME": str(folder), "PASSWORD_STORE_DIR": str(folder)}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _sensitive(value: bytes) -> Sensitive:
    return Sensitive(value)


@pytest.mark.parametrize("make", [pass_source, passage_source, gopass_source])
def test_all_can_be_written_and_made_anew(make: type[Source]) -> None:
    first, second = make(), make()
    assert first is not second
    assert isinstance(first, StoringSource)


def test_a_digest_starts_no_program(store: PassStore, tmp_path: Path) -> None:
    store.insert("web/db", VALUE)
    folder = _made(tmp_path / "r")
    digest = pass_source().digest("web/db", sample_context(folder, {**store.environ, "PATH": os.devnull}))
    assert digest is not None
    assert len(digest) == 64
