"""``init``: what it writes, which key it takes, what it refuses."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from keys import ed25519_key, rsa_key
from sessions import Recorded

from secretsmith.cli.arguments.principals import InitParameters
from secretsmith.cli.commands import init
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.interaction import NoInteraction
from secretsmith.operations.initialise import ATTRIBUTES, default_key, initialise, with_attributes
from secretsmith.policy.lock import Lock, parse_lock
from secretsmith.policy.registry import parse_registry
from secretsmith.project import open_project


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home/.ssh").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "fleet").mkdir()
    return tmp_path / "fleet"


def written(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_registry_lock_and_attributes_are_written_and_open(root: Path) -> None:
    key = ed25519_key("alice@laptop")
    done = initialise(root, user="alice", lines=[key.public], secrets="vault", git="off")
    assert done.written == ("secretsmith.toml", "secretsmith.lock", ".gitattributes")
    registry = parse_registry((root / "secretsmith.toml").read_text())
    assert registry.users["alice"].admin and registry.secrets == "vault"
    assert parse_lock((root / "secretsmith.lock").read_text()) == Lock()
    project = open_project(root, environ={}, interaction=NoInteraction())
    assert project.accepted.contains(done.keys[0].fingerprint)


def test_an_existing_registry_is_refused_and_stays(root: Path) -> None:
    initialise(root, user="alice", lines=[ed25519_key().public])
    before = written(root)
    with pytest.raises(RefusedInput) as caught:
        initialise(root, user="bob", lines=[ed25519_key().public])
    assert caught.value.code is Code.EXISTS and written(root) == before


@pytest.mark.parametrize(
    ("lines", "user", "code"),
    [
        (["no key"], "alice", Code.KEY_FORMAT),
        ([rsa_key(1024).public], "alice", Code.KEY_WEAK),
        ([ed25519_key().public], "al ice", Code.NAME),
        ([ed25519_key().public], "-x", Code.NAME),
    ],
)
def test_what_is_refused_leaves_nothing(root: Path, lines: list[str], user: str, code: Code) -> None:
    with pytest.raises(RefusedInput) as caught:
        initialise(root, user=user, lines=lines)
    assert caught.value.code is code and not written(root)


def test_a_folder_for_secrets_outside_is_refused(root: Path) -> None:
    with pytest.raises(RefusedInput):
        initialise(root, user="alice", lines=[ed25519_key().public], secrets="../elsewhere")
    assert not written(root)


def test_attributes_are_added_once_and_leave_the_rest() -> None:
    theirs = b"*.png binary\n*.txt   text"
    once = with_attributes(theirs)
    assert once.startswith(theirs + b"\n") and with_attributes(once) == once
    for line in ATTRIBUTES:
        assert once.count(line.encode()) == 1
    spaced = once.replace(b"*.age -text", b"*.age   -text")
    assert with_attributes(spaced) == spaced
    assert with_attributes(b"") == "\n".join(["# secretsmith", *ATTRIBUTES, ""]).encode()


def test_git_keeps_the_bytes_of_age_files_and_locks(root: Path, peer: Callable[[str], str]) -> None:
    git = peer("git")
    subprocess.run([git, "init", "-q", root], check=True)
    initialise(root, user="alice", lines=[ed25519_key().public])
    shown = subprocess.run(
        [git, "-C", root, "check-attr", "text", "eol", "--", "secrets/a.age", "secretsmith.lock"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "secrets/a.age: text: unset" in shown and "secretsmith.lock: eol: lf" in shown
    listed = subprocess.run(
        [git, "-C", root, "ls-files"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert listed == [".gitattributes", "secretsmith.lock", "secretsmith.toml"]


def test_the_ed25519_key_is_the_default_and_rsa_is_passed_over(home: Path) -> None:
    environ = {"HOME": str(home)}
    with pytest.raises(NotFound) as caught:
        default_key(environ)
    assert any("ssh-keygen" in hint for hint in caught.value.hints)
    rsa_key(comment="old").write(home / ".ssh", "id_rsa")
    with pytest.raises(NotFound) as caught:
        default_key(environ)
    assert any("id_rsa.pub is ignored" in hint for hint in caught.value.hints)
    key = ed25519_key("alice")
    key.write(home / ".ssh", "id_ed25519")
    found = default_key(environ)
    assert found.lines == (key.public,)
    assert len(found.notes) == 1 and "id_rsa.pub is ignored" in found.notes[0]


def test_a_key_file_may_be_a_link_into_dotfiles(home: Path) -> None:
    key = ed25519_key("alice")
    key.write(home, "kept")
    (home / ".ssh/id_ed25519.pub").symlink_to(home / "kept.pub")
    assert default_key({"HOME": str(home)}).lines == (key.public,)


def run(root: Path, given: InitParameters, stdin: bytes = b"", **environ: str) -> str:
    recorded = Recorded(root, environ, stdin=stdin)
    init.run(recorded.session, given)
    assert recorded.out == ""
    return recorded.err


def test_the_command_takes_name_and_key_from_the_environment(root: Path, home: Path) -> None:
    ed25519_key("alice").write(home / ".ssh", "id_ed25519")
    said = run(root, InitParameters(), USER="carol", HOME=str(home))
    assert set(parse_registry((root / "secretsmith.toml").read_text()).users) == {"carol"}
    assert "carol is admin" in said and "SHA256:" in said


@pytest.mark.parametrize("way", ["file", "line", "stdin", "relative"])
def test_the_command_takes_a_key_in_every_way(root: Path, home: Path, way: str) -> None:
    key = ed25519_key("alice")
    path = key.write(home, "mine")
    (root / "here.pub").write_text(f"# mine\n\n{key.public}\n")
    given = {"file": f"{path}.pub", "line": key.public, "stdin": "-", "relative": "here.pub"}[way]
    run(root, InitParameters(user="alice", key=given), key.public.encode() if way == "stdin" else b"")
    assert [k.line for k in parse_registry((root / "secretsmith.toml").read_text()).users["alice"].keys] == [
        key.public
    ]


def test_a_private_key_file_is_refused_and_never_repeated(root: Path, home: Path) -> None:
    path = ed25519_key("alice").write(home, "mine")
    for given in (str(path), path.read_text()):
        with pytest.raises(RefusedInput) as caught:
            run(root, InitParameters(user="alice", key=given))
        assert caught.value.code is Code.KEY_PRIVATE
        text = " ".join((caught.value.message, *caught.value.hints))
        assert not any(line in text for line in path.read_text().split("\n") if line)
    assert list(root.iterdir()) == [root / "here.pub"] or not list(root.glob("secretsmith*"))


def test_without_a_name_the_flag_is_named(root: Path, home: Path) -> None:
    with pytest.raises(RefusedInput) as caught:
        run(root, InitParameters(key=ed25519_key().public), HOME=str(home))
    assert caught.value.hints == ("secretsmith init --user NAME",)


def test_a_registry_inside_another_repository_is_mentioned(root: Path) -> None:
    initialise(root, user="alice", lines=[ed25519_key().public])
    (root / "below").mkdir()
    notes = initialise(root / "below", user="alice", lines=[ed25519_key().public]).notes
    assert len(notes) == 1 and str(root) in notes[0]
