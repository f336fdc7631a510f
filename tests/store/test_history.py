from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from secretsmith.errors import NotFound, RefusedInput, SecretsmithError
from secretsmith.store.history import (
    Objects,
    commit_of,
    day_of,
    files_at,
    is_secret_name,
    is_shallow,
    merge_base,
    prefix_of,
    tips,
    touches,
)

Peer = Callable[[str], str]
LIMIT = 1 << 20


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=check, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path, **files: str | None) -> str:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x", "--allow-empty")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(peer: Peer, tmp_path: Path) -> Path:
    peer("git")
    root = tmp_path / "root"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    return root


def blob(root: Path, text: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), "hash-object", "--stdin"],
        input=text.encode(),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def test_every_change_of_a_line_of_history(root: Path) -> None:
    first = commit(root, s__a="1", s__b="b", other="o")
    second = commit(root, s__a="2")
    third = commit(root, s__a=None)
    found = [(t.commit, t.parents, t.path, t.before, t.after) for t in touches(root, ["s"])]
    assert found == [
        (third, (second,), "s/a", (blob(root, "2"),), ""),
        (second, (first,), "s/a", (blob(root, "1"),), blob(root, "2")),
        (first, ("",), "s/a", ("",), blob(root, "1")),
        (first, ("",), "s/b", ("",), blob(root, "b")),
    ]
    assert {t.path for t in touches(root, [])} == {"s/a", "s/b", "other"}


def test_side_branches_that_a_merge_threw_away_and_merges_made_by_hand(root: Path) -> None:
    commit(root, a="1")
    git(root, "checkout", "-qb", "side")
    side = commit(root, a="side")
    git(root, "checkout", "-q", "main")
    commit(root, a="main", b="b")
    git(root, "merge", "-q", "-s", "ours", "-m", "m", "side")
    git(root, "branch", "-qD", "side")
    after = {touch.after for touch in touches(root, ["a"])}
    assert blob(root, "side") in after, "the merge threw it away, and it is in history all the same"
    git(root, "checkout", "-qb", "two", side)
    two = commit(root, a="two")
    git(root, "checkout", "-q", "main")
    git(root, "merge", "two", check=False)
    evil = commit(root, a="by hand")
    found = [touch for touch in touches(root, ["a"]) if touch.commit == evil]
    assert [(t.parents[1], t.before, t.after) for t in found] == [
        (two, (blob(root, "main"), blob(root, "two")), blob(root, "by hand"))
    ]


def test_all_that_is_reachable_and_nothing_else(root: Path) -> None:
    commit(root, a="1")
    git(root, "checkout", "-qb", "other")
    tagged = commit(root, a="tagged")
    git(root, "tag", "-am", "t", "v1")
    commit(root, a="dropped")
    git(root, "checkout", "-q", "main")
    git(root, "branch", "-qD", "other")
    (root / "a").write_text("stashed")
    git(root, "stash")
    after = {touch.after for touch in touches(root, [])}
    assert {blob(root, text) for text in ("1", "tagged", "stashed")} <= after
    assert blob(root, "dropped") not in after
    assert tips(root)[0] == git(root, "rev-parse", "HEAD")
    assert tagged in tips(root)


def test_hostile_names_links_and_submodules(root: Path) -> None:
    names = ["new\nline", ":100644 100644 0 0 M", "-n", "*", "t\tab", 'q"uote', "\x1b[31m"]
    for name in names:
        (root / name).write_text(name)
    (root / "link").symlink_to("t\tab")
    (Path(os.fsencode(root).decode()) / os.fsdecode(b"\xff")).write_text("bytes")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x")
    assert {touch.path for touch in touches(root, [])} == {*names, os.fsdecode(b"\xff")}
    assert set(files_at(root, "HEAD")) == {*names, os.fsdecode(b"\xff")}
    assert [touch.path for touch in touches(root, ["*"])] == ["*"], "patterns are taken literally"
    for bad in ("new\nline", "s/\x1b[31m", "README.md", "a/README/b", "x.pub"):
        assert not is_secret_name(bad)
    assert is_secret_name("web/db.age")


def test_below_the_top_of_the_repository(root: Path) -> None:
    commit(root, fleet__s__a="1", outside="x")
    git(root, "checkout", "-qb", "side")
    commit(root, fleet__s__a="2")
    git(root, "checkout", "-q", "main")
    commit(root, fleet__s__a="3")
    git(root, "merge", "side", check=False)
    commit(root, fleet__s__a="4")
    below = root / "fleet"
    assert prefix_of(below) == "fleet/"
    assert prefix_of(root) == ""
    assert {touch.path for touch in touches(below, ["s"])} == {"s/a"}
    assert {touch.path for touch in touches(below, [])} == {"s/a"}
    assert list(files_at(below, "HEAD")) == ["s/a"]


def test_revisions(root: Path) -> None:
    first = commit(root, a="1")
    git(root, "checkout", "-qb", "side")
    side = commit(root, b="1")
    git(root, "checkout", "-q", "main")
    second = commit(root, c="1")
    assert commit_of(root, "HEAD~1") == first
    assert commit_of(root, "side") == side
    assert merge_base(root, second, side) == first
    proof = root / "proof"
    for bad in ("", "-n", f"--output={proof}", "--help"):
        with pytest.raises(RefusedInput):
            commit_of(root, bad)
    assert not proof.exists()
    for unknown in ("nope", "HEAD~9", "0" * 40):
        with pytest.raises(NotFound):
            commit_of(root, unknown)
    git(root, "checkout", "-q", "--orphan", "lone")
    lone = commit(root, a="1")
    with pytest.raises(NotFound):
        merge_base(root, second, lone)


def test_objects(root: Path) -> None:
    commit(root, a="one", big="x" * 1000, empty="")
    names = [blob(root, text) for text in ("one", "x" * 1000, "")] * 300
    with Objects(root) as objects:
        assert objects.read("HEAD:a", LIMIT) == (names[0], b"one")
        assert objects.read(names[1], 999) == (names[1], None), "too big, and the next answer is still found"
        assert objects.read("HEAD:nope", LIMIT) == ("", None)
        assert objects.missing == 1
        assert list(objects.read_all(names, LIMIT)) == list(
            zip(names, [b"one", b"x" * 1000, b""] * 300, strict=True)
        )
        assert day_of(objects.commit_time("HEAD")) == git(
            root, "log", "-1", "--format=%cd", "--date=format:%F"
        )
        with pytest.raises(RefusedInput):
            objects.read("HEAD:a\nHEAD:big", LIMIT)
    assert day_of(1 << 62) == "1970-01-01"


def test_one_process_hands_out_all_objects(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(root, **{f"f{number}": str(number) for number in range(50)})
    log = tmp_path / "log"
    monkeypatch.setenv(
        "GIT_TRACE", str(log)
    )  # scrubbed like all of its kind: it proves nothing, and writes nothing
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\nexec {peer_git()} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    with Objects(root) as objects:
        for touch in touches(root, []):
            assert objects.read(touch.after, LIMIT)[1] is not None
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 3, "where we are, the walk, the objects"
    assert not log.exists()


def peer_git() -> str:
    import shutil

    return shutil.which("git") or "git"


def test_nothing_is_fetched_and_nothing_runs(root: Path, tmp_path: Path) -> None:
    """A partial clone asks its remote for what it lacks; the remote may be any program that the configuration names."""
    commit(root, a="1")
    second = commit(root, a="2")
    git(root, "config", "uploadpack.allowFilter", "true")
    git(root, "config", "uploadpack.allowAnySHA1InWant", "true")
    clone = tmp_path / "clone"
    subprocess.run(
        ["git", "clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{root}", str(clone)],
        check=True,
    )
    proof = tmp_path / "ran"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch '{proof}'\nexec git-upload-pack \"$@\"\n")
    script.chmod(0o755)
    git(clone, "config", "remote.origin.uploadpack", str(script))
    with Objects(clone) as objects:
        assert next(touch.commit for touch in touches(clone, ["a"])) == second
        names = [
            blob(root, "1"),
            git(clone, "rev-parse", "HEAD^{tree}"),
            blob(root, "2"),
            f"{second}:a",
            second,
        ]
        found = dict(objects.read_all(names, LIMIT))
        assert [found[name] is not None for name in names] == [False, True, False, False, True]
        assert objects.missing == 3
        assert objects.read(second, LIMIT)[0] == second
    assert not proof.exists()
    git(clone, "cat-file", "-p", blob(root, "1"), check=False)
    assert proof.exists(), "a plain git fetches: without this the test would prove nothing"


def test_signatures_are_not_verified(root: Path, tmp_path: Path) -> None:
    commit(root, a="1")
    raw = git(root, "cat-file", "commit", "HEAD").encode() + b"\n"
    head, _, message = raw.partition(b"\n\n")
    signature = b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ\n -----END PGP SIGNATURE-----"
    made = subprocess.run(
        ["git", "-C", str(root), "hash-object", "-t", "commit", "-w", "--stdin"],
        input=head + b"\n" + signature + b"\n\n" + message,
        capture_output=True,
        check=True,
    )
    git(root, "update-ref", "HEAD", made.stdout.decode().strip())
    proof = tmp_path / "ran"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch '{proof}'\n")
    script.chmod(0o755)
    git(root, "config", "log.showSignature", "true")
    git(root, "config", "gpg.program", str(script))
    assert [touch.path for touch in touches(root, [])] == ["a"]
    assert not proof.exists()
    git(root, "log")
    assert proof.exists(), "a plain git runs what the configuration names"


def test_replacements_and_settings_of_this_clone_do_not_count(root: Path) -> None:
    first = commit(root, a="1")
    commit(root, a="2")
    third = commit(root, a="3")
    git(root, "replace", "--graft", third)
    git(root, "config", "log.follow", "true")
    git(root, "config", "log.showRoot", "false")
    git(root, "config", "diff.renames", "true")
    git(root, "config", "diff.orderFile", "nope")
    assert [touch.commit for touch in touches(root, ["a"])][-1] == first


def test_shallow_empty_and_broken(root: Path, tmp_path: Path) -> None:
    assert tips(root) == ()
    assert list(touches(root, [])) == []
    commit(root, a="1")
    commit(root, a="2")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{root}", str(clone)], check=True)
    assert is_shallow(clone)
    assert not is_shallow(root)
    with pytest.raises(SecretsmithError, match="not a git repository"):
        list(touches(tmp_path, []))
    damaged = next(
        path for path in (root / ".git/objects").rglob("*") if path.name.startswith(blob(root, "1")[2:])
    )
    damaged.chmod(0o600)
    damaged.write_bytes(b"nonsense")
    with Objects(root) as objects:
        assert objects.read(blob(root, "1"), LIMIT) == ("", None)
        assert objects.missing == 1


def test_leaving_early_leaves_no_process(root: Path) -> None:
    for number in range(30):
        commit(root, a=str(number))
    walk = touches(root, [])
    next(walk)
    walk.close()  # type: ignore[attr-defined]
    objects = Objects(root)
    objects.read("HEAD:a", LIMIT)
    objects.__exit__(KeyError, KeyError(), None)
    assert not subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "git"], capture_output=True, check=False
    ).stdout
