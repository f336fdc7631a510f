"""Other programs that keep one value: ``pass`` with a throw-away home of gpg, and ``keyring`` with our backend."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Final

from benchmarks.fleet import Fleet
from benchmarks.measure import Command
from benchmarks.programs import SECRETSMITH
from benchmarks.workshop import value_of
from secretsmith.project import REGISTRY_NAME

PASS: Final = "pass show"
KEYRING: Final = "keyring get"
BACKEND: Final = "secretsmith-keyring"
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {PASS: ("pass", "gpg"), KEYRING: ("keyring", BACKEND)}
_SERVICE: Final = "bench.example.org"


def commands(fleet: Fleet) -> dict[str, Command]:
    """Give the commands that print the first value of ``fleet``, of the programs that there are."""
    made = {}
    for label, make in ((PASS, _pass), (KEYRING, _keyring)):
        if not fleet.shop.missing(NEEDS[label]):
            made[label] = make(fleet)
    return made


def _pass(fleet: Fleet) -> Command:
    home = fleet.shop.gnupg
    env = {
        **fleet.shop.env,
        "GNUPGHOME": str(home),
        "PASSWORD_STORE_DIR": str(fleet.folder / "store"),
        "PASSWORD_STORE_GPG_OPTS": "--batch",
    }
    if not home.exists():
        home.mkdir(mode=0o700)
        words = ["--batch", "--pinentry-mode", "loopback", "--passphrase", ""]
        _run(env, "gpg", *words, "--quick-gen-key", "bench@example.org", "future-default", "default", "never")
    _run(env, "pass", "init", "bench@example.org")
    _run(env, "pass", "insert", "-m", "value", given=value_of(0))
    return Command(["pass", "show", "value"], env, fleet.folder)


def _keyring(fleet: Fleet) -> Command:
    registry = fleet.root / REGISTRY_NAME
    table = f'\n[[keyring]]\nservice = "{_SERVICE}"\nusername = "alice"\nsecret = "{fleet.paths[0]}"\n'
    registry.write_text(registry.read_text() + table)
    subprocess.run(
        [*SECRETSMITH, "keyring", "approve", "--all"],
        cwd=fleet.root,
        env=fleet.env,
        check=True,
        capture_output=True,
    )
    return Command(["keyring", "get", _SERVICE, "alice"], fleet.env, fleet.root)


def _run(env: Mapping[str, str], *words: str, given: bytes = b"") -> None:
    subprocess.run(words, env=dict(env), input=given, check=True, capture_output=True)


__all__ = ["KEYRING", "NEEDS", "PASS", "commands"]
