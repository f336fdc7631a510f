"""Two branches of one repository, both changed by commands, merged by git with ``lock --merge`` as its driver."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import keys
import pytest
from repositories import Fleet

from secretsmith.errors import Code
from secretsmith.operations.check import check
from secretsmith.operations.initialise import with_attributes
from secretsmith.operations.rekey import plan_rekey
from secretsmith.policy import edit
from secretsmith.policy.registrymerge import with_both_additions

Git = Callable[..., str]


@pytest.fixture
def git(fleet: Fleet, peer: Callable[[str], str]) -> Git:
    program = peer("git")

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [program, *words], cwd=fleet.root, env=fleet.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr

    run("init", "-q", "-b", "main")
    fleet.accept_all()
    (fleet.root / ".gitattributes").write_bytes(with_attributes(b""))
    driver = f"{sys.executable} -m secretsmith lock --merge %O %A %B"
    run("config", "merge.secretsmith-lock.driver", driver)
    fleet.run("group", "add", "web", "web1")
    for name in "bdfh":
        fleet.set(f"secrets/web/{name}.age", b"first")
    commit(run, "base")
    return run


def commit(git: Git, message: str) -> None:
    git("add", "--all")
    git("commit", "-q", "-m", message)


def on(git: Git, branch: str, *words: str) -> None:
    git("checkout", "-q", *words, branch)


def grown(fleet: Fleet, host: str, secret: str) -> keys.SshKey:
    """Do on one branch what a new host brings: its key, its group, a rule, a secret, and the files that it reads."""
    pair = keys.ed25519_key(f"root@{host}")
    pair.write(fleet.private, host)
    fleet.run("host", "add", host, "--key", pair.public)
    fleet.run("group", "add", "web", host)
    fleet.run("grant", f"secrets/{host}/**", "--to", host)
    fleet.set(secret, host.encode())
    fleet.set(f"secrets/{host}/own.age", b"own")
    return pair


def test_neighbouring_additions_merge(fleet: Fleet, git: Git) -> None:
    fleet.run("grant", "secrets/web/**", "--to", "@web", "--no-rekey")
    commit(git, "rule")
    on(git, "left", "-b")
    grown(fleet, "web3", "secrets/web/c.age")
    commit(git, "left")
    on(git, "main")
    on(git, "right", "-b")
    grown(fleet, "web4", "secrets/web/e.age")
    commit(git, "right")
    git("merge", "-q", "left", "-m", "both")

    project = fleet.project()
    assert [*project.registry.hosts] == ["web1", "web2", "web4", "web3"]
    assert set(project.registry.groups["web"]) == {"web1", "web3", "web4"}
    assert {"secrets/web/c.age", "secrets/web/e.age", "secrets/web3/own.age"} <= project.lock.files.keys()
    assert "<<<<<<<" not in fleet.registry
    # What each branch wrote is for the readers that it knew; the rest is one rekey away.
    fleet.run("rekey", "--accept", "all")
    for path in (f"secrets/web/{name}.age" for name in "bcdefh"):
        assert all(fleet.opens(name, path) is not None for name in ("web1", "web3", "web4")), path
    assert not plan_rekey(fleet.project())
    found = {finding.code for finding in check(fleet.project(), deep=True) if finding.severity != "info"}
    assert found <= {Code.SINGLE_ADMIN, Code.UNTRACKED}


def test_a_reprovision_and_a_rekey_of_other_files_merge(fleet: Fleet, git: Git) -> None:
    fleet.change_registry(lambda text: edit.grant(text, ["secrets/db/**"], ["web2"]))
    for name in "ac":
        fleet.set(f"secrets/db/{name}.age", b"db")
    commit(git, "db")
    one, two = keys.ed25519_key("root@web1"), keys.ed25519_key("root@web2")
    on(git, "left", "-b")
    fleet.run("host", "reprovision", "web1", "--key", one.public, "--yes")
    commit(git, "left")
    on(git, "main")
    on(git, "right", "-b")
    fleet.run("host", "retire", "web2", "--compromised", "--yes")
    commit(git, "right")
    git("merge", "-q", "left", "-m", "both")
    project = fleet.project()
    assert {debt.principal for debt in project.lock.debt} == {"web1", "web2"}
    assert not plan_rekey(project)
    one.write(fleet.private, "web1")
    assert fleet.opens("web1", "secrets/web/b.age") == b"first"
    assert fleet.opens("web2", "secrets/db/a.age") is None and two


def test_who_was_taken_out_on_one_side_does_not_come_back(fleet: Fleet, git: Git) -> None:
    fleet.run("grant", "secrets/web/**", "--to", "bob", "--rekey")
    commit(git, "bob")
    on(git, "left", "-b")
    fleet.run("revoke", "secrets/web/**", "--from", "bob", "--rekey")
    commit(git, "left")
    on(git, "main")
    on(git, "right", "-b")
    fleet.run("grant", "secrets/web/**", "--to", "web2", "--no-rekey")
    commit(git, "right")
    said = git("merge", "-q", "left", "-m", "both", code=1)
    assert "secretsmith.toml" in said and "both sides changed the same lines" in said
    assert "<<<<<<<" in fleet.registry
    fleet.run("ls", code=2)


BASE = edit.new_registry("alice", [keys.ed25519_key("alice").public])
HUNK = "<<<<<<< ours\n{}||||||| base\n{}=======\n{}>>>>>>> theirs\n"


@pytest.mark.parametrize(
    ("ours", "base", "theirs", "wanted"),
    [
        ('[groups]\na = ["alice"]\n', "", '[[rules]]\npath = "x"\nreaders = ["alice"]\n', "a = "),
        # A line of the table above, and a new table: in the one order it would be in the wrong table.
        ('[groups]\na = ["alice"]\n', "", 'status = "active"\n', "status"),
        ('status = "active"\n', "", '[groups]\na = ["alice"]\n', "status"),
        ('status = "active"\n[groups]\na = []\n', "", 'status = "removed"\n', None),
        ('status = "active"\n', "", 'status = "removed"\n', None),
        ("admin = false\n", "admin = true\n", "admin = true # why\n", None),
    ],
)
def test_what_is_resolved(ours: str, base: str, theirs: str, wanted: str | None) -> None:
    merged = with_both_additions(BASE + HUNK.format(ours, base, theirs))
    if wanted is None:
        assert merged is None
        return
    assert merged is not None and "<<<<" not in merged
    assert wanted in merged
    if wanted == "status":
        assert merged.index("status") < merged.index("[groups]")


@pytest.mark.parametrize(
    ("ours", "theirs", "wanted"),
    [
        (["alice", "b"], ["alice", "c"], ["alice", "b", "c"]),
        (["b", "alice"], ["alice", "b", "c"], ["b", "alice", "c"]),
        (["b"], ["alice", "c"], None),
        ([], ["alice", "c"], None),
    ],
)
def test_lists_that_both_sides_made_longer(
    ours: list[str], theirs: list[str], wanted: list[str] | None
) -> None:
    text = BASE
    for name in "bc":
        text = edit.add_user(text, name, [keys.ed25519_key().public])
    text += "\n[groups]\n"

    def line(words: list[str]) -> str:
        return f"g = {json.dumps(words)} # who\n"

    merged = with_both_additions(text + HUNK.format(line(ours), line(["alice"]), line(theirs)))
    assert merged == (None if wanted is None else text + line(wanted))
