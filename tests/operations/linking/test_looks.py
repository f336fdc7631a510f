"""``check`` of links: stale or not by the entry's digest; no key, no program; counted."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from injection import traced
from linkings import Linking

from secretsmith.policy.lock import Link
from secretsmith.project import writing

MANY = 1000
PATH = "secrets/web/a.age"


def findings(linking: Linking, *words: str, **variables: str) -> list[dict[str, str]]:
    done = linking.fleet.run("check", "--json", *words, code=3, extra=variables)
    return [item for item in json.loads(done.stdout)["findings"] if item["code"].startswith("E_LINK_")]


def linked(linking: Linking) -> None:
    for name in "ab":
        linking.store.put(name, b"hunter2")
        linking.fleet.run("link", f"fake:{name}", f"web/{name}")


def test_a_changed_entry_is_stale_without_any_key(linking: Linking) -> None:
    linked(linking)
    assert findings(linking) == []
    linking.store.put("a", b"hunter3")
    linking.store.beside("locked").touch()
    (found,) = findings(linking, SECRETSMITH_IDENTITY="/nowhere")
    assert (found["code"], found["severity"], found["path"]) == ("E_LINK_STALE", "warning", PATH)
    assert found["hint"] == f"secretsmith sync {PATH}"
    assert linking.store.calls()[-1] == "digest b"


def test_another_store_cannot_be_judged_and_is_not_stale(linking: Linking) -> None:
    linked(linking)
    (linking.store.folder / "a").unlink()
    (found,) = findings(linking)
    assert (found["code"], found["severity"]) == ("E_LINK_UNKNOWN", "info")
    assert "cannot be judged" in found["message"]
    del linking.fleet.environ["FAKE_STORE"]
    assert [item["code"] for item in findings(linking)] == ["E_LINK_UNKNOWN"] * 2


def test_a_plugin_that_is_not_here_cannot_judge(linking: Linking) -> None:
    linked(linking)
    path = linking.fleet.environ["PYTHONPATH"].partition(":")[0]
    assert {item["code"] for item in findings(linking, PYTHONPATH=path)} == {"E_LINK_UNKNOWN"}


def test_paths_limit_it(linking: Linking) -> None:
    linked(linking)
    for name in "ab":
        linking.store.put(name, b"new")
    done = linking.fleet.run("check", "--json", "web/b", code=3)
    assert [item["path"] for item in json.loads(done.stdout)["findings"]] == ["secrets/web/b.age"]


def test_a_thousand_links_decrypt_nothing_and_start_nothing(
    linking: Linking, peer: Callable[[str], str], tmp_path: Path
) -> None:
    linked(linking)
    linking.store.put("a", b"new")
    digest = linking.fleet.project().lock.links["secrets/web/b.age"].store_digest
    data = (linking.fleet.root / "secrets/web/b.age").read_bytes()
    with writing(linking.fleet.project()) as session:
        keys = session.lock.files["secrets/web/b.age"].recipients
        for number in range(MANY):
            path, name = f"secrets/web/{number:04}.age", f"many/{number:04}"
            linking.store.put(name, b"hunter2")
            session.stage_secret(path, data, keys, expect=None)
            session.lock = session.lock.with_link(path, Link(f"fake:{name}", digest, "alice"))
        session.commit()
    linking.store.put("many/0007", b"new")
    linking.store.calls()
    log = tmp_path / "strace"
    command = [sys.executable, "-m", "secretsmith", "check", "--json"]
    options = ("-e", "trace=execve,openat", "-o", str(log))
    done = traced(
        peer("strace"), options, command, cwd=linking.fleet.root, environ=linking.fleet.environ, stdin=b""
    )
    assert done.returncode == 3, done.stderr
    stale = [item["path"] for item in json.loads(done.stdout)["findings"] if item["code"] == "E_LINK_STALE"]
    assert stale == ["secrets/web/0007.age", "secrets/web/a.age"]
    text = log.read_text()
    assert len(re.findall(r"execve\(.*= 0$", text, re.MULTILINE)) == 1, (
        "the check itself, and no other program"
    )
    assert "id_ed25519" not in text, "no private key is even looked at"
    calls = linking.store.calls()
    assert len(calls) == MANY + 2 and all(call.startswith("digest") for call in calls)
