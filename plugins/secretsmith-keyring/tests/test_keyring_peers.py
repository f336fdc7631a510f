"""The programs that people use: pip and twine against an index that wants a token, and a desktop's keyring in the same chain."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from desktops import Person
from logins import TOKEN, UPLOADS, Logins
from packageindex import WHEEL, PackageIndex, make_wheel


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    """An index that lets __token__ in with TOKEN."""
    (tmp_path / "index").mkdir()
    with PackageIndex(tmp_path / "index", f"__token__:{TOKEN}") as served:
        yield served


def pip(fleet: Logins, url: str, provider: str, **variables: Any) -> tuple[int, str]:
    words = ["-m", "pip", "--isolated", "--no-input", "--disable-pip-version-check", "download", "--no-deps"]
    words += ["--keyring-provider", provider, "--index-url", url, "--dest", "out", "canary-package"]
    done = fleet.python(*words, **variables)
    return done.returncode, done.stdout + done.stderr


def outside_program(fleet: Logins) -> str:
    """Give a PATH on which ``keyring`` is not pip's own, as with pipx: pip does not use the one beside itself."""
    folder = fleet.folder / "pipx"
    folder.mkdir()
    program = folder / "keyring"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m keyring "$@"\n')
    program.chmod(0o755)
    return f"{folder}:{fleet.environ['PATH']}"


def asks_for_users() -> bool:
    """Whether pip asks the program ``keyring`` for a user name too: older ones ask it only for the password of a named user."""
    source = Path(str(distribution("pip").locate_file("pip/_internal/network/auth.py")))
    return "--mode=creds" in source.read_text()


@pytest.mark.parametrize("provider", ["import", "subprocess"])
@pytest.mark.parametrize("user", ["__token__@", ""], ids=["user", "no-user"])
def test_pip_gets_its_token(fleet: Logins, index: PackageIndex, provider: str, user: str) -> None:
    fleet.map(index.place, "secrets/token.age")
    path = outside_program(fleet)
    url = f"http://{user}{index.place}/simple/"
    assert pip(fleet, url, provider, PATH=path)[0] == 1
    assert not [login for login in index.given if TOKEN in login], "nobody has approved it"
    fleet.run("keyring", "approve", index.place)
    status, text = pip(fleet, url, provider, PATH=path)
    if provider == "subprocess" and not user and not asks_for_users():
        assert status == 1, "pip did not ask anybody"
        return
    assert status == 0, text
    assert (fleet.root / "out" / WHEEL).exists()
    assert index.given[-1] == f"__token__:{TOKEN}"
    assert TOKEN not in text


def test_pip_in_a_repository_that_names_an_index_of_its_own(approved: Logins, index: PackageIndex) -> None:
    """The attack: a table and a requirements file come with a push, and the next install would send the token there."""
    approved.map(index.place, "secrets/token.age")
    (approved.root / "requirements.txt").write_text(
        f"--index-url http://__token__@{index.place}/simple/\ncanary-package\n"
    )
    words = ["-m", "pip", "--isolated", "--no-input", "install", "--dry-run", "--no-deps"]
    done = approved.python(*words, "--keyring-provider", "import", "-r", "requirements.txt")
    assert done.returncode == 1
    assert not [login for login in index.given if TOKEN in login]
    assert "nobody approved on this computer that programs get secrets/token.age" in done.stdout + done.stderr


def test_twine_gets_its_token(fleet: Logins, index: PackageIndex, tmp_path: Path) -> None:
    url = f"http://{index.place}/legacy/"
    fleet.map(url, "secrets/token.age")
    wheel = make_wheel(tmp_path)
    words = ["-m", "twine", "upload", "--disable-progress-bar", "--repository-url", url, str(wheel)]

    def upload() -> tuple[int, str]:
        done = fleet.python(*words, "--username", "__token__", "--non-interactive", TERM="dumb")
        return done.returncode, done.stdout + done.stderr

    status, text = upload()
    assert (status, index.uploads) == (1, 0), text
    fleet.run("keyring", "approve", url)
    status, text = upload()
    assert (status, index.uploads, index.given[-1]) == (0, 1, f"__token__:{TOKEN}"), text
    assert TOKEN not in text


# --- beside a desktop's keyring ---------------------------------------------------------------------------------------


@pytest.fixture
def person(peer: Callable[[str], str]) -> Iterator[Person]:
    """A person at a desktop with an unlocked keyring, in a repository that maps UPLOADS to TOKEN."""
    with Person(peer) as made:
        made.key(passphrase="")
        for words, given in (
            (("init", "--user", "alice", "--key", ".ssh/id_ed25519.pub", "--yes"), b""),
            (("set", "secrets/token.age"), TOKEN.encode()),
        ):
            done = made.secretsmith(*words, given=given)
            assert done.returncode == 0, done.stdout
        with (made.home / "secretsmith.toml").open("a") as registry:
            registry.write(
                f'\n[[keyring]]\nservice = "{UPLOADS}"\nusername = "__token__"\nsecret = "secrets/token.age"\n'
            )
        assert made.secretsmith("keyring", "approve", "--all").returncode == 0
        made.bus()
        made.gnome()
        yield made


def keyring(person: Person, *words: str, given: bytes = b"") -> tuple[int, str]:
    done = person.program(sys.executable, "-m", "keyring", *words, given=given)
    return done.returncode, done.stdout


def test_reads_fall_through_to_the_repository(person: Person) -> None:
    _, text = keyring(person, "--list-backends")
    assert "secretsmith_keyring.Keyring (priority: 0.5)" in text
    assert "SecretService" in text
    assert keyring(person, "get", UPLOADS, "__token__") == (0, f"{TOKEN}\n")
    assert (
        json.loads(keyring(person, "--mode=creds", "--output=json", "get", UPLOADS)[1])["password"] == TOKEN
    )
    assert keyring(person, "get", UPLOADS, "nobody")[0] == 1


def test_what_the_desktop_has_comes_first_and_writes_go_there(
    person: Person, peer: Callable[[str], str]
) -> None:
    assert person.secretsmith("keyring", "approve", "--store").returncode == 0
    before = sorted(person.home.rglob("secrets/**/*.age"))
    assert keyring(person, "set", UPLOADS, "__token__", given=b"of the desktop\n")[0] == 0
    assert keyring(person, "get", UPLOADS, "__token__") == (0, "of the desktop\n")
    found = person.program(peer("secret-tool"), "lookup", "service", UPLOADS, "username", "__token__")
    assert found.stdout == "of the desktop"
    assert sorted(person.home.rglob("secrets/**/*.age")) == before
    assert keyring(person, "del", UPLOADS, "__token__")[0] == 0
    assert keyring(person, "get", UPLOADS, "__token__") == (0, f"{TOKEN}\n")


def test_key_whose_passphrase_the_desktop_remembers(person: Person) -> None:
    locked = person.key(".ssh/locked")
    registry = person.home / "secretsmith.toml"
    registry.write_text(
        registry.read_text().replace((person.home / ".ssh/id_ed25519.pub").read_text().strip(), locked.public)
    )
    done = person.secretsmith("rekey", "--accept", "all", "--drop-unknown")
    assert done.returncode == 0, done.stdout
    (person.home / ".ssh/locked").rename(person.home / ".ssh/id_ed25519")
    status, text = keyring(person, "get", UPLOADS, "__token__")
    assert (status, "none of your private keys opens it" in text) == (1, True), text
    status, text = person.answered(
        "identity", "remember", answers={"[y/N]": "y", "passphrase of ~/.ssh/id_ed25519: ": "s3same"}
    )
    assert status == 0, text
    assert keyring(person, "get", UPLOADS, "__token__") == (0, f"{TOKEN}\n")


def test_by_name_it_is_written_here(person: Person) -> None:
    ours = ("--keyring-backend", "secretsmith_keyring.Keyring")
    assert person.secretsmith("keyring", "approve", "--store").returncode == 0
    assert keyring(person, *ours, "set", "a", "b", given=b"ours\n")[0] == 0
    assert keyring(person, "get", "a", "b") == (0, "ours\n")


def test_trouble_here_takes_no_other_keyring_with_it(person: Person) -> None:
    assert keyring(person, "set", "a", "b", given=b"of the desktop\n")[0] == 0
    (person.home / "secretsmith.lock").write_text("nonsense")
    assert keyring(person, "get", "a", "b") == (0, "of the desktop\n")
    status, text = keyring(person, "get", UPLOADS, "__token__")
    assert (status, text.count("\n"), text.startswith("secretsmith: ")) == (1, 1, True), text
