"""The environment that opens a document for the real sops opens it here: each variable, each default place, added up."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import keys
import pytest

from secretsmith.documents.format import Format
from secretsmith.documents.seal import open_value
from secretsmith.documents.sopsnew import new_document
from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import NoInteraction

CLEAR = b"mail: hunter2\n"
KEYS_TXT = ".config/sops/age/keys.txt"


class Home:
    """A home folder with keys, one document for each, and both programs to open them."""

    def __init__(self, folder: Path, peer: Callable[[str], str]) -> None:
        self.folder = folder
        self.peer = peer
        self.recipients: dict[str, str] = {}
        (folder / ".ssh").mkdir()
        (folder / ".config/sops/age").mkdir(parents=True)

    def age(self, name: str) -> Path:
        path = self.folder / name
        subprocess.run([self.peer("age-keygen"), "-o", path], check=True, capture_output=True)
        path.chmod(0o600)
        shown = subprocess.run([self.peer("age-keygen"), "-y", path], check=True, capture_output=True).stdout
        self.recipients[name] = shown.decode().strip()
        return path

    def ssh(self, name: str, key: keys.SshKey) -> Path:
        path = self.folder / name
        key.write(path.parent, path.name)
        self.recipients[name] = key.public
        return path

    def document(self, name: str) -> bytes:
        return new_document(Format.YAML, CLEAR, [[self.recipients[name]]])

    def ours(self, data: bytes, **variables: str) -> bool:
        ring = IdentityRing(self._environ(variables), NoInteraction(), cwd=self.folder, as_root=False)
        try:
            return open_value(Format.YAML, data, ring.for_data).expose() == CLEAR
        except Exception:
            return False

    def theirs(self, data: bytes, **variables: str) -> bool:
        argv = [self.peer("sops"), "decrypt", "--input-type", "yaml", "--output-type", "yaml", "/dev/stdin"]
        done = subprocess.run(
            argv,
            input=data,
            capture_output=True,
            env=self._environ(variables),
            cwd=self.folder,
            check=False,
        )
        return done.returncode == 0 and done.stdout == CLEAR

    def _environ(self, variables: dict[str, str]) -> dict[str, str]:
        return {"HOME": str(self.folder), "PATH": os.environ["PATH"], **variables}


@pytest.fixture
def home(tmp_path: Path, peer: Callable[[str], str]) -> Home:
    peer("sops")
    return Home(tmp_path, peer)


@pytest.mark.parametrize("variable", ["SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY_CMD"])
def test_variables_of_age_keys(home: Home, variable: str) -> None:
    path = home.age("some keys")
    value = {
        "SOPS_AGE_KEY": path.read_text(),
        "SOPS_AGE_KEY_FILE": str(path),
        "SOPS_AGE_KEY_CMD": shlex.join(["cat", str(path)]),
    }[variable]
    data = home.document("some keys")
    assert not home.theirs(data)
    assert not home.ours(data)
    assert home.theirs(data, **{variable: value})
    assert home.ours(data, **{variable: value})


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_the_variable_of_an_ssh_key(home: Home, kind: str) -> None:
    path = home.ssh("some key", keys.ed25519_key() if kind == "ed25519" else keys.rsa_key())
    data = home.document("some key")
    assert not home.theirs(data)
    assert not home.ours(data)
    assert home.theirs(data, SOPS_AGE_SSH_PRIVATE_KEY_FILE=str(path))
    assert home.ours(data, SOPS_AGE_SSH_PRIVATE_KEY_FILE=str(path))


def test_the_command_for_an_ssh_key(home: Home) -> None:
    """Of sops 3.12 and later."""
    path = home.ssh("some key", keys.ed25519_key())
    assert home.ours(home.document("some key"), SOPS_AGE_SSH_PRIVATE_KEY_CMD=shlex.join(["cat", str(path)]))


@pytest.mark.parametrize("separator", [" ", "  ", "\t", "\n", "\n\n# and\n"])
def test_several_keys_in_one_variable(home: Home, separator: str) -> None:
    """With blanks between them in sops 3.13 and later."""
    made = [home.age(name).read_text().splitlines()[-1] for name in ("one", "two")]
    value = separator.join(made)
    for name in ("one", "two"):
        data = home.document(name)
        assert home.ours(data, SOPS_AGE_KEY=value)
        assert home.theirs(data, SOPS_AGE_KEY=value) or "\n" not in separator


@pytest.mark.parametrize("name", [".ssh/id_ed25519", ".ssh/id_rsa", KEYS_TXT])
def test_default_places(home: Home, name: str) -> None:
    if name == KEYS_TXT:
        home.age(name)
    else:
        home.ssh(name, keys.rsa_key() if name.endswith("rsa") else keys.ed25519_key())
    data = home.document(name)
    assert home.theirs(data)
    assert home.ours(data)


def test_xdg_config_home(home: Home) -> None:
    (home.folder / "etc/sops/age").mkdir(parents=True)
    home.age("etc/sops/age/keys.txt")
    data = home.document("etc/sops/age/keys.txt")
    for opens in (home.theirs, home.ours):
        assert not opens(data)
        assert opens(data, XDG_CONFIG_HOME=str(home.folder / "etc"))


def test_they_add_up(home: Home) -> None:
    variables = {
        "SOPS_AGE_KEY": home.age("text").read_text(),
        "SOPS_AGE_KEY_FILE": str(home.age("file")),
        "SOPS_AGE_KEY_CMD": shlex.join(["cat", str(home.age("cmd"))]),
        "SOPS_AGE_SSH_PRIVATE_KEY_FILE": str(home.ssh("ssh", keys.ed25519_key())),
    }
    home.ssh(".ssh/id_ed25519", keys.ed25519_key())
    home.ssh(".ssh/id_rsa", keys.rsa_key())
    home.age(KEYS_TXT)
    for name in home.recipients:
        data = home.document(name)
        assert home.theirs(data, **variables), name
        assert home.ours(data, **variables), name
