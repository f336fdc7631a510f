"""Identity plugins as a person meets them: installed beside secretsmith, through its commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import keys
import pytest
from repositories import Fleet

from secretsmith.errors import CannotDecrypt
from secretsmith.interaction import NoInteraction
from secretsmith.operations.identityplugins import with_identity_plugins
from secretsmith.operations.show import show_secret
from secretsmith.plugin.discovery import Entry
from secretsmith.plugin.loader import Loader
from secretsmith.project import open_project

# $VAULT is a folder: its files are keys, and those below $VAULT/words passphrases by fingerprint.
VAULT = """
import os
from pathlib import Path
from secretsmith.plugin.api import OfferedIdentity
from secretsmith.sensitive import Sensitive

class Vault:
    api_version = 1
    def identities(self, context):
        for path in sorted(Path(context.environ["VAULT"]).glob("*.key")):
            yield OfferedIdentity(path.name, Sensitive(path.read_bytes()))
    def passphrase(self, fingerprint, context):
        path = Path(context.environ["VAULT"], "words", fingerprint.replace("/", "_"))
        return Sensitive(path.read_bytes()) if path.exists() else None
"""


class Someone:
    """A person with a repository and no key of their own, at a computer with the plugin."""

    def __init__(self, folder: Path) -> None:
        self.fleet = Fleet(folder)
        self.fleet.set("secrets/db.age", b"hunter2")
        self.key = self.fleet.home / ".ssh/id_ed25519"
        self.vault, self.site = folder / "vault", folder / "site"
        (self.vault / "words").mkdir(parents=True)
        info = self.site / "vault-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vault\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[secretsmith.identities]\nvault = vaultplugin:Vault\n")
        self.plugin(VAULT)

    def plugin(self, code: str) -> None:
        (self.site / "vaultplugin.py").write_text(code)

    def secretsmith(self, *words: str, root: bool = False) -> tuple[int, str]:
        """Run it in a process of its own, not as root unless asked for."""
        pretend = "" if root else "os.geteuid = lambda: 1000; "
        code = f"import os, sys; {pretend}from secretsmith.cli.door import main; sys.exit(main())"
        environ: Mapping[str, str] = {
            **self.fleet.environ,
            "PYTHONPATH": f"{self.site}:{Path(__file__).resolve().parents[2]}",
            "VAULT": str(self.vault),
            "SECRETSMITH_KEYRING": "off",
        }
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=self.fleet.root,
            env=environ,
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def someone(tmp_path: Path) -> Someone:
    return Someone(tmp_path)


def test_key_of_a_plugin_opens(someone: Someone) -> None:
    someone.key.rename(someone.vault / "work.key")
    assert someone.secretsmith("show", "db") == (0, "hunter2")
    status, text = someone.secretsmith("show", "db", root=True)
    if os.geteuid() == 0:
        assert (status, "vault" in text) == (5, False), "root asks no plugin"


def test_list_names_it_without_loading_it(someone: Someone) -> None:
    someone.plugin("raise SystemExit(9)\n")
    status, text = someone.secretsmith("identity", "list", "--json")
    assert status == 0, text
    rows = {row["source"]: row["outcome"] for row in json.loads(text)}
    assert rows["plugin vault"] == "asked, in a repository, when no key above opens a file"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise SystemExit(9)\n", "is refused: loading it ended with SystemExit: 9"),
        (
            VAULT.replace("yield Offered", "raise ValueError('canary'); yield Offered"),
            "failed with ValueError",
        ),
        (
            VAULT.replace("for path in", "return 5\n        for path in").replace("yield", "_ ="),
            "failed with TypeError",
        ),
        (VAULT.replace("yield OfferedIdentity(path.name, ", "yield ("), "no OfferedIdentity"),
        (VAULT.replace("Sensitive(path.read_bytes()))", "path.read_bytes())"), "not Sensitive"),
    ],
)
def test_broken_one_is_a_line_among_what_was_tried(
    someone: Someone, monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    someone.key.rename(someone.vault / "work.key")
    someone.plugin(code)
    monkeypatch.syspath_prepend(someone.site)
    monkeypatch.delitem(sys.modules, "vaultplugin", raising=False)
    loader = Loader([Entry("secretsmith.identities", "vault", "vaultplugin:Vault", "vault", "1")])
    environ = {**someone.fleet.environ, "VAULT": str(someone.vault), "SECRETSMITH_KEYRING": "off"}
    project = open_project(someone.fleet.root, environ=environ, interaction=NoInteraction())
    project.ring.personal = True
    with pytest.raises(CannotDecrypt) as caught:
        show_secret(with_identity_plugins(project, loader), "secrets/db.age")
    (text,) = [hint for hint in caught.value.hints if hint.startswith("tried: ")]
    assert "plugin vault: skipped: identity vault (vault 1) " in text
    assert says in text
    assert "canary" not in text


def test_broken_one_harms_nothing_that_needs_it_not(someone: Someone) -> None:
    someone.plugin("raise SystemExit(9)\n")
    assert someone.secretsmith("show", "db") == (0, "hunter2")


def test_nothing_is_looked_for_before_it_is_needed(someone: Someone) -> None:
    """Not even the names of what is installed: reading them is slower than most commands."""

    class Trap(Loader):
        def names(self, group: str) -> tuple[str, ...]:
            raise AssertionError("asked")

    project = open_project(someone.fleet.root, environ=someone.fleet.environ, interaction=NoInteraction())
    with_identity_plugins(project, Trap([]))
    assert project.ring.survey()


def test_passphrase_of_a_plugin(someone: Someone) -> None:
    from secretsmith.crypto.publickey import parse_public_key

    made = keys.ed25519_key(passphrase=b"s3same")
    someone.fleet.write_registry(someone.fleet.registry.replace(someone.fleet.public["alice"], made.public))
    assert someone.secretsmith("rekey", "--accept", "all", "--drop-unknown")[0] == 0
    made.write(someone.key.parent, someone.key.name)
    assert someone.secretsmith("show", "db")[0] == 5
    word = someone.vault / "words" / parse_public_key(made.public).fingerprint.replace("/", "_")
    word.write_bytes(b"s3same")
    assert someone.secretsmith("show", "db") == (0, "hunter2")
