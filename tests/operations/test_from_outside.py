"""A file belongs to the repository that it lies in, wherever the person stands: its registry says who may read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from repositories import Fleet

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import read_document
from secretsmith.documents.sopsnew import new_document

PATH = "secrets/web/app.yaml"


def recipients(path: Path) -> set[str]:
    metadata = read_document(format_of(path.name), path.read_bytes()).metadata
    return {entry.recipient for group in metadata.groups for entry in group.age}


def derived(fleet: Fleet, *names: str) -> set[str]:
    return {parse_public_key(fleet.public[name]).derived for name in names}


@pytest.fixture
def elsewhere(fleet: Fleet) -> Path:
    """A folder that is in no repository, with a link to this one."""
    made = fleet.folder / "elsewhere"
    made.mkdir()
    (made / "link").symlink_to(fleet.root)
    return made


@pytest.mark.parametrize("way", ["../fleet", "link", "absolute"])
@pytest.mark.parametrize("variables", [{}, {"SECRETSMITH_ROOT": "/nowhere"}])
def test_an_injected_recipient_stops_every_write(
    fleet: Fleet, elsewhere: Path, way: str, variables: dict[str, str]
) -> None:
    fleet.change_registry(lambda text: text.replace("bob", "robert"))
    stranger = Fleet(fleet.folder / "stranger").public["bob"]
    target = fleet.root / PATH
    target.parent.mkdir(parents=True)
    target.write_bytes(new_document(Format.YAML, b"a: x\n", [[fleet.public["alice"], stranger]]))
    before = target.read_bytes()
    name = f"{fleet.root if way == 'absolute' else way}/{PATH}"
    for words in (("set", name, "a"), ("unset", name, "a"), ("rotate", name)):
        said = fleet.run(*words, stdin=b"y", cwd=elsewhere, code=6, extra=variables).stderr
        assert b"recipient that the registry never named" in said
        assert target.read_bytes() == before
    # To look at it harms nobody.
    assert fleet.run("show", name, "a", cwd=elsewhere, extra=variables).stdout == b"x"


@pytest.mark.parametrize("way", ["../fleet", "./link"])
def test_a_new_document_gets_the_readers_of_the_registry(fleet: Fleet, elsewhere: Path, way: str) -> None:
    fleet.run("set", f"{way}/{PATH}", "mail/smtp", stdin=b"x", cwd=elsewhere)
    assert recipients(fleet.root / PATH) == derived(fleet, "alice", "web1")
    assert PATH in fleet.project().lock.files
    assert not list(elsewhere.glob("**/*.yaml"))
    assert not list(fleet.root.glob("secrets/fleet/**"))


def test_encrypt_asks_the_registry(fleet: Fleet, elsewhere: Path) -> None:
    target = fleet.root / PATH
    target.parent.mkdir(parents=True)
    target.write_bytes(b"a: 1\n")
    name = f"../fleet/{PATH}"
    said = fleet.run("encrypt", "--in-place", "--age", fleet.public["web2"], name, cwd=elsewhere, code=2)
    assert b"the registry says who reads it" in said.stderr
    fleet.run("encrypt", "--in-place", name, cwd=elsewhere)
    assert recipients(target) == derived(fleet, "alice", "web1")
    overridden = fleet.run("encrypt", "-", "--filename-override", name, stdin=b"a: 1\n", cwd=elsewhere).stdout
    (elsewhere / "app.yaml").write_bytes(overridden)
    assert recipients(elsewhere / "app.yaml") == derived(fleet, "alice", "web1")


def test_one_command_rotates_in_two_repositories(fleet: Fleet, elsewhere: Path) -> None:
    other = Fleet(fleet.folder / "other")
    for each in (fleet, other):
        target = each.root / PATH
        target.parent.mkdir(parents=True)
        target.write_bytes(new_document(Format.YAML, b"a: x\n", [[fleet.public["alice"]]]))
    other.write_registry(fleet.registry)
    before = (fleet.root / PATH).read_bytes(), (other.root / PATH).read_bytes()
    fleet.run("rotate", "--accept", "all", PATH, f"{other.root}/{PATH}")
    assert (fleet.root / PATH).read_bytes() != before[0]
    assert (other.root / PATH).read_bytes() != before[1]
    assert PATH in other.project().lock.files


def test_a_loop_of_links_is_refused(fleet: Fleet, elsewhere: Path) -> None:
    (elsewhere / "loop.yaml").symlink_to("loop.yaml")
    for words in (("show",), ("decrypt",), ("encrypt", "--age", fleet.public["bob"])):
        said = fleet.run(*words, "loop.yaml", cwd=elsewhere, code=2).stderr
        assert b"link" in said


def test_a_folder_is_said_to_be_one(elsewhere: Path, fleet: Fleet) -> None:
    (elsewhere / "sub").mkdir()
    assert b"sub is a folder" in fleet.run("decrypt", "sub", cwd=elsewhere, code=4).stderr
