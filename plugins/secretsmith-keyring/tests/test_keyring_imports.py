"""Counted, not timed: every pip, twine and poetry loads this backend, also where it has nothing to say."""

from __future__ import annotations

import json
from pathlib import Path

from logins import UPLOADS, Logins

MEASURE = """
import json, sys
import keyring, keyring.backend
import keyring.backends.chainer, keyring.backends.SecretService, keyring.backends.kwallet, keyring.backends.libsecret
before = set(sys.modules)
import secretsmith_keyring
loaded = set(sys.modules)
viable = secretsmith_keyring.Keyring.viable
looked = set(sys.modules)
value = secretsmith_keyring.Keyring().get_password(sys.argv[1], "__token__") if viable else None
used = set(sys.modules)
print(json.dumps([sorted(loaded - before), sorted(looked - loaded), sorted(used - looked), viable]))
"""
HEAVY = {"typer", "rich", "pydantic", "click", "tomlkit", "ruamel", "pyrage", "nacl", "cryptography"}


def counted(fleet: Logins, cwd: Path | None = None) -> tuple[set[str], set[str], set[str], bool]:
    done = fleet.python("-c", MEASURE, UPLOADS, cwd=cwd)
    assert done.returncode == 0, done.stderr
    loaded, looked, used, viable = json.loads(done.stdout)
    return set(loaded), set(looked), set(used), viable


def of_ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0].startswith("secretsmith")}


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_import_loads_the_door_alone(approved: Logins, tmp_path: Path) -> None:
    loaded, looked, _, viable = counted(approved, tmp_path)
    assert not viable
    assert of_ours(loaded) == {
        "secretsmith",
        "secretsmith.keyringdoor",
        "secretsmith.store",
        "secretsmith.store.root",
        "secretsmith_keyring",
    }
    assert len(loaded) < 10, loaded
    assert not looked, "outside of a repository nothing more is loaded"


def test_look_at_a_registry_loads_no_parser_and_no_cryptography(approved: Logins) -> None:
    _, looked, used, viable = counted(approved)
    assert viable
    assert not [
        name for name in of_ours(looked) if not name.startswith(("secretsmith.store.", "secretsmith.errors"))
    ]
    assert not packages(looked) & (HEAVY | {"tomllib"})
    assert not packages(used) & (HEAVY - {"pyrage", "nacl", "cryptography"})
    assert "secretsmith.cli" not in used
