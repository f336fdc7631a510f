"""A large repository in git, made fast: the files of one folder have the same readers, so each kind is sealed once."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keys
from repositories import Fleet

from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import seal_value
from secretsmith.documents.sopsnew import new_document
from secretsmith.policy import edit
from secretsmith.policy.lock import Lock, LockEntry, dump_lock
from secretsmith.sensitive import Sensitive

VALUE = b"value-canary-3f90"
CLEAR = {Format.YAML: b"app:\n  token: value-canary-3f90\n", Format.JSON: b'{"token": "value-canary-3f90"}\n'}
SUFFIXES = (".age", ".yaml", ".age", ".json")


@dataclass
class BigFleet:
    """``folders`` maps a folder to its files, ``readers`` to the hosts and users that a rule lets read them."""

    fleet: Fleet
    folders: dict[str, list[str]]
    readers: dict[str, tuple[str, ...]]

    def read_by(self, name: str) -> set[str]:
        """Return the files that a host reads."""
        return {
            path for folder, paths in self.folders.items() if name in self.readers[folder] for path in paths
        }

    def git(self, *words: str) -> str:
        """Run git in the repository and return what it wrote."""
        return subprocess.run(
            ["git", *words], cwd=self.fleet.root, check=True, capture_output=True, text=True
        ).stdout

    def changed(self) -> set[str]:
        """Return what git says is changed or new."""
        return {line[3:] for line in self.git("status", "--porcelain", "--untracked-files=all").splitlines()}


def make_big_fleet(
    folder: Path, *, files: int, hosts: int, users: int, readers: int = 3, git: bool = True
) -> BigFleet:
    """Make ``files`` secrets, half of them documents, in as many folders as there are hosts; host n reads folder n and on.

    alice is the admin. Everything is on the lock, accepted, and committed.
    """
    fleet = Fleet(folder)
    names = [f"host{number:02}" for number in range(hosts)]
    people = [f"user{number:02}" for number in range(users - 1)]
    for name in (*names, *people):
        pair = keys.ed25519_key(name)
        pair.write(fleet.private, name)
        fleet.public[name] = pair.public
    folders, given = _layout(names, people, files, readers)
    fleet.write_registry(_registry(fleet, names, people, given))
    (fleet.root / "secretsmith.lock").write_text(dump_lock(_seal(fleet, folders, given)))
    made = BigFleet(fleet, folders, given)
    if git:
        if (fleet.root / ".secretsmith").exists():
            _remove_state(fleet.root / ".secretsmith")
        made.git("init", "-q")
        made.git("add", ".")
        made.git("commit", "-qm", "fleet")
    fleet.accept_all()
    return made


def _remove_state(state: Path) -> None:
    import shutil

    shutil.rmtree(state)


def _layout(
    names: Sequence[str], people: Sequence[str], files: int, readers: int
) -> tuple[dict[str, list[str]], dict[str, tuple[str, ...]]]:
    folders: dict[str, list[str]] = {f"secrets/{number:02}": [] for number in range(len(names))}
    given = {}
    for number, path in enumerate(folders):
        hosts = [names[(number + step) % len(names)] for step in range(min(readers, len(names)))]
        given[path] = (*hosts, *people[number % max(1, len(people)) :][:1])
    for number in range(files):
        path = f"secrets/{number % len(names):02}"
        folders[path].append(f"{path}/{number:04}{SUFFIXES[number // len(names) % len(SUFFIXES)]}")
    return folders, given


def _registry(
    fleet: Fleet, names: Sequence[str], people: Sequence[str], given: dict[str, tuple[str, ...]]
) -> str:
    lines = [edit.new_registry("alice", [fleet.public["alice"]])]
    lines += [f'[users.{name}]\nkeys = ["{fleet.public[name]}"]\n' for name in people]
    lines += [f'[hosts.{name}]\nkeys = ["{fleet.public[name]}"]\n' for name in names]
    for path, readers in given.items():
        listed = ", ".join(f'"{name}"' for name in readers)
        lines.append(f'[[rules]]\npath = "{path}/**"\nreaders = [{listed}]\n')
    return "\n".join(lines)


def _seal(fleet: Fleet, folders: dict[str, list[str]], given: dict[str, tuple[str, ...]]) -> Lock:
    registry = fleet.project().registry
    entries = {}
    for folder, paths in folders.items():
        wanted = [registry.principal(name).keys[0] for name in ("alice", *given[folder])]
        fingerprints = tuple(sorted(key.fingerprint for key in wanted))
        made: dict[Format, bytes] = {}
        (fleet.root / folder).mkdir(parents=True)
        for path in paths:
            format = format_of(path)  # noqa: A001  # the word for it everywhere else
            if format not in made:
                made[format] = (
                    seal_value(Format.AGE, Sensitive(VALUE), [key.text for key in wanted], armor=True)
                    if format is Format.AGE
                    else new_document(format, CLEAR[format], [[key.derived for key in wanted]])
                )
            (fleet.root / path).write_bytes(made[format])
            entries[path] = LockEntry(hashlib.sha256(made[format]).hexdigest(), fingerprints, "wrote", False)
    return Lock(files=entries)


__all__ = ["CLEAR", "VALUE", "BigFleet", "make_big_fleet"]
