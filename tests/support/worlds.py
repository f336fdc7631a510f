"""Two worlds of one host with all that a manifest can have, and what must be true of every state between them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hosts import IS_ROOT, Host
from keys import SshKey
from vaults import derived

from secretsmith.activation.outcome import Outcome
from secretsmith.documents.format import format_of
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import ExitCode

Tree = dict[str, tuple[bytes, int]]
OPTIONS = ("--plain-folder", "--units", "none", *(() if IS_ROOT else ("--owner-self",)))
TEMPORARY = ".secretsmith-tmp"
MODES = {"old": 0o400, "new": 0o440}


def tree(folder: Path) -> Tree:
    """Name → bytes and mode of all files behind a live link."""
    live = folder.resolve()
    files = (path for path in live.rglob("*") if path.is_file())
    return {str(p.relative_to(live)): (p.read_bytes(), p.stat().st_mode & 0o7777) for p in files}


def everything(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that a write below ``folder`` would change: inode, mode, owner, times, where a link points."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        state = path.lstat()
        text = os.readlink(path) if path.is_symlink() else ""
        times = (state.st_mtime_ns, state.st_ctime_ns)
        found[str(path)] = (state.st_ino, state.st_mode, state.st_uid, state.st_gid, *times, text)
    return found


def add_document(host: Host, source: str, clear: bytes, *keys: SshKey, **names: str) -> None:
    """Encrypt a sops document for ``keys`` (this host's without any) and declare secrets of it: name → key."""
    recipients = [derived(key) for key in keys or (host.key,)]
    path = host.folder / source
    path.write_bytes(new_document(format_of(source), clear, [recipients], clock=lambda: 1e9))
    for name, key in names.items():
        secret = {"name": name, "source": str(path), "format": str(format_of(source)), "key": key}
        host.drop(name)
        host.manifest["secrets"].append(secret)


def add_template(
    host: Host, name: str, content: str, uses: Mapping[str, str], kind: str = "raw", **fields: Any
) -> None:
    """Declare a template; ``uses`` is placeholder → secret, or secret and filter with a colon between."""
    placeholders = {}
    for text, use in uses.items():
        secret, _, how = use.partition(":")
        placeholders[text] = {"secret": secret, **({"filter": how} if how else {})}
    item = {"name": name, "content": content, "format": kind, "placeholders": placeholders, **fields}
    others = [one for one in host.manifest.get("templates", []) if one["name"] != name]
    host.manifest["templates"] = [*others, item]


def copied(path: Path) -> dict[str, Any]:
    """The members of a secret that is copied to a path on a disk."""
    return {"path": str(path), "method": "copy", "plaintext_on_disk": True}


class World:
    """A host whose manifest is the old or the new one.

    There are two phases, a template, links and copies at custom paths; of both one stays, one goes and one comes.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.folder = host.folder
        self.etc = host.folder / "etc"
        self.lives = {
            "services": host.directory,
            "users": host.directory.with_name("secrets-for-users"),
        }

    def declare(self, word: str) -> None:
        """Make the manifest the ``old`` or the ``new`` one."""
        host, mode = self.host, f"{MODES[word]:04o}"
        host.manifest["secrets"] = []
        more: dict[str, dict[str, Any]] = {
            "password": {"phase": "users", "path": str(self.etc / "password")},
            "a": {"restart_units": ["a.service"]},
            "deep/b": {"path": str(self.etc / "b")},
            f"link-{word}": {"path": str(self.etc / f"link-{word}")},
            "copy": copied(self.etc / "copy"),
            f"copy-{word}": copied(self.etc / f"copy-{word}"),
        }
        for name, fields in more.items():
            self._secret(word, name, mode=mode, **fields)
        add_template(host, "app.env", f"A=@a@\nWORLD={word}\n", {"@a@": "a:env"}, "dotenv", mode=mode)

    def _secret(self, word: str, name: str, **fields: Any) -> None:
        # Encrypted once: a world is made many times.
        source = self.folder / f"{word}-{name.replace('/', '_')}.age"
        if not source.exists():
            self.host.encrypt(source.stem, f"{word} {name}".encode())
        secret = {"name": name, "id": name, "source": str(source), "format": "age", **fields}
        self.host.manifest["secrets"].append(secret)

    def expected(self, word: str) -> dict[str, Tree]:
        """What each phase holds in a world."""
        names = ("a", "deep/b", f"link-{word}", "copy", f"copy-{word}")
        mode = MODES[word]
        services = {name: (f"{word} {name}".encode(), mode) for name in names}
        services["app.env"] = (f'A="{word} a"\nWORLD={word}\n'.encode(), mode)
        return {"services": services, "users": {"password": (f"{word} password".encode(), mode)}}

    def reset(self, *, first: bool = False) -> None:
        """Back to the old world (to nothing at all with ``first``), with the new manifest about to be activated."""
        for name in ("run", "etc", "state"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.host.status_file.unlink(missing_ok=True)
        if not first:
            self.declare("old")
            assert self.run().exit_code is ExitCode.OK
        self.declare("new")

    def run(self, **changes: Any) -> Outcome:
        """Activate in this process, with the record of custom paths."""
        return self.host.run_all(paths=str(self.host.paths_file), **changes)

    def assert_whole(self, *, first: bool = False) -> None:
        """Every phase is wholly old or new, and so is every file at a custom path."""
        words = ("new",) if first else ("old", "new")
        for phase, live in self.lives.items():
            if first and not os.path.lexists(live):
                continue
            found = tree(live)
            assert found in [self.expected(word)[phase] for word in words], (phase, found)
        always = not first
        self._assert_place("copy", words, always=always)
        self._assert_place("b", words, always=always, name="deep/b")
        self._assert_place("password", words, always=always)
        for word in ("old", "new"):
            self._assert_place(f"copy-{word}", (word,), always=False)
            if (self.etc / f"link-{word}").exists():  # a link may dangle until it is removed
                self._assert_place(f"link-{word}", (word,), always=False)
        self.assert_known()

    def _assert_place(
        self, place: str, words: tuple[str, ...], *, always: bool, name: str | None = None
    ) -> None:
        path = self.etc / place
        if not always and not os.path.lexists(path):
            return
        if not always and path.is_symlink() and not path.exists():
            return
        found = (path.read_bytes(), path.stat().st_mode & 0o7777)
        assert found in [(f"{word} {name or place}".encode(), MODES[word]) for word in words], (place, found)

    def assert_known(self) -> None:
        """Whatever lies at custom paths is in the record that outlives a reboot, half a copy too."""
        record = self.host.paths_file
        paths = json.loads(record.read_text())["paths"] if record.exists() else {}
        known = {path for placed in paths.values() for path in placed}
        for found in self.etc.glob("*") if self.etc.exists() else ():
            name = found.name
            if name.startswith(".") and name.endswith(TEMPORARY):
                name = name.removeprefix(".").removesuffix(TEMPORARY)
            assert str(self.etc / name) in known, f"nobody knows of {found}"

    def assert_new(self) -> None:
        """The new world is whole, with all its custom paths, and nothing else is left anywhere."""
        wanted = self.expected("new")
        assert {phase: tree(live) for phase, live in self.lives.items()} == wanted
        names = {"password", "b", "link-new", "copy", "copy-new"}
        assert {path.name for path in self.etc.iterdir()} == names
        self.assert_whole()
        assert not list(self.folder.rglob(f"*{TEMPORARY}*"))
        generations = [live.with_name(f"{live.name}.d") for live in self.lives.values()]
        beside = {*self.lives.values(), *generations, *(g.with_name(f"{g.name}.lock") for g in generations)}
        assert {*self.host.directory.parent.iterdir()} == beside
        for folder, live in zip(generations, self.lives.values(), strict=True):
            numbers = {path.name for path in folder.iterdir()} - {"state.json"}
            assert live.resolve().name in numbers
            assert len(numbers) <= 2
            assert all(number.isdigit() for number in numbers)
            state = json.loads((folder / "state.json").read_text())
            # Of a run that was killed before its first switch a generation may stay, as an older one would.
            assert live.resolve().name in state["records"]
            assert set(state["records"]) <= numbers
            assert state["pending"] == {"restart": [], "reload": []}
        assert {path.name for path in self.host.paths_file.parent.iterdir()} == {"paths.json"}
        # A value that is no longer wanted is nowhere outside the generation that is kept.
        outside = (path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".age")
        kept = [path for path in outside if not any(path.is_relative_to(folder) for folder in generations)]
        assert not [path for path in kept if b"old copy" in path.read_bytes()]

    def assert_heals(self) -> None:
        """The next run makes the new world, and the one after it has nothing to do."""
        outcome = self.run()
        assert outcome.exit_code is ExitCode.OK, [error.message for error in outcome.errors()]
        self.assert_new()
        assert {found["state"] for found in self.host.status()["secrets"].values()} <= {"fresh", "unchanged"}
        assert all(report.nothing_done for report in self.run().reports)


__all__ = [
    "OPTIONS",
    "TEMPORARY",
    "Tree",
    "World",
    "add_document",
    "add_template",
    "copied",
    "everything",
    "tree",
]
