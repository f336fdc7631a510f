"""What git remembers: revisions, their files, and every version of a file that any commit holds.

Two processes of git at most run beside us, one that walks and one that hands out objects, and one object at a time is held.
File names come as bytes between NULs, so none can pass for something else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.record import record
from secretsmith.store.git import Pipes, asked, started
from secretsmith.store.walk import is_skipped

_CHUNK: Final = 1 << 16
_AT_ONCE: Final = 256
_MAX_DEATHS: Final = 20
_REGULAR: Final = (b"100644", b"100755", b"100664")
MAX_TIPS: Final = 200
"""So many branches that are not merged are looked at as a whole, the newest first."""

MAX_PATHSPECS: Final = 1000
"""With more paths than this a walk is not limited: they go on a command line."""

_FORMAT: Final = "--format=tformat:%H %ct %P"
_WALK: Final = (
    # All of history: git leaves out side branches whose changes a merge threw away, unless told not to. A merge
    # (-c) is shown with the files that are none of its parents', which only a merge made by hand has.
    *("log", "--all", "--full-history", "-c", "--raw", "-z", "--no-renames", "--no-abbrev", _FORMAT),
    *(
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--no-notes",
        "--no-decorate",
        "--no-mailmap",
        "-O/dev/null",
    ),
)
_TIPS: Final = "%(objectname) %(objecttype) %(*objectname) %(*objecttype)"


@record
class Touch:
    """One file that one commit changed. ``path`` is relative to the root that was asked about.

    ``before`` are the blobs that the file was in ``parents``, in their order, "" where it was not; ``after`` is what it is
    in ``commit``, "" when it is gone. ``time`` is the commit's, in seconds since 1970.
    """

    commit: str
    time: int
    parents: tuple[str, ...]
    path: str
    before: tuple[str, ...]
    after: str


def is_secret_name(path: str) -> bool:
    """Say whether a listing of the work tree would show ``path`` (:mod:`secretsmith.store.walk`)."""
    return not any(is_skipped(part) for part in path.split("/"))


def commit_of(root: Path, revision: str) -> str:
    """Return the commit that ``revision`` names, in full.

    Raises:
        RefusedInput: USAGE, it would be read as an option.
        NotFound: there is no such commit.
        SecretsmithError: ERROR, git is missing or failed.
    """
    # As an option it could have git write files, or run a program.
    if not revision or revision.startswith("-") or "\0" in revision:
        raise RefusedInput(Code.USAGE, f"{revision!r} is no git revision", hints=("such as: main, HEAD~3",))
    found = asked(root, ["rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"], fails=True)
    if found is None:
        raise NotFound(
            Code.NOT_FOUND,
            f"git knows no commit {revision}",
            hints=("git log lists them", "a shallow clone has few: git fetch --unshallow"),
        )
    return found.decode("ascii").strip()


def merge_base(root: Path, one: str, other: str) -> str:
    """Return the commit that the commits ``one`` and ``other`` have in common.

    Raises:
        NotFound: there is none.
        SecretsmithError: ERROR, git is missing or failed.
    """
    found = asked(root, ["merge-base", one, other], fails=True)
    if found is None:
        raise NotFound(
            Code.NOT_FOUND,
            f"{one[:10]} and {other[:10]} have no commit in common",
            hints=("a shallow clone may lack it: git fetch --unshallow",),
        )
    return found.decode("ascii").split()[0]


def is_shallow(root: Path) -> bool:
    """Say whether this clone was cut off from the older part of its history. Raises as :func:`merge_base`."""
    return (asked(root, ["rev-parse", "--is-shallow-repository"]) or b"").strip() == b"true"


def prefix_of(root: Path) -> str:
    """Return where ``root`` lies in the repository: "" at its top, else with a final slash. Raises as :func:`merge_base`."""
    found = asked(root, ["rev-parse", "--show-prefix"]) or b""
    return os.fsdecode(found.removesuffix(b"\n"))


def files_at(root: Path, commit: str, paths: Sequence[str] = ()) -> dict[str, str]:
    """Return the regular files of ``commit`` below ``root``: path relative to it → blob.

    ``paths`` limits them to these files and folders, unless they are too many. Raises as :func:`merge_base`.
    """
    limits = paths if len(paths) <= MAX_PATHSPECS else ()
    output = asked(root, ["ls-tree", "-r", "-z", commit, "--", *limits]) or b""
    found = {}
    for line in output.split(b"\0"):
        about, _, path = line.partition(b"\t")
        if about[:6] in _REGULAR:
            found[os.fsdecode(path)] = about.split(b" ")[2].decode("ascii")
    return found


def tips(root: Path) -> tuple[str, ...]:
    """Return the commit of HEAD and those of branches and tags that it does not contain, newest first.

    At most :data:`MAX_TIPS` of the latter. Raises as :func:`merge_base`.
    """
    head = asked(root, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], fails=True)
    found = [] if head is None else [head.decode("ascii").strip()]
    outside = [] if head is None else ["--no-merged=HEAD"]
    listed = asked(
        root,
        ["for-each-ref", *outside, "--sort=-creatordate", f"--count={MAX_TIPS}", f"--format={_TIPS}"],
    )
    for line in (listed or b"").decode("ascii", "replace").splitlines():
        words = line.split()
        found.extend(name for name, kind in zip(words[::2], words[1::2], strict=False) if kind == "commit")
    return tuple(dict.fromkeys(found))


def touches(root: Path, paths: Sequence[str]) -> Iterator[Touch]:
    """Walk every commit that a branch, a tag, a stash or HEAD reaches; yield what it changed of ``paths``.

    ``paths`` are files and folders relative to ``root``; none means all. What lies outside of ``root``, links and
    submodules are left out.

    Raises:
        SecretsmithError: ERROR, git is missing or failed.
    """
    prefix = prefix_of(root)
    limits = list(paths) if len(paths) <= MAX_PATHSPECS else []
    with started(root, [*_WALK, "--", *(limits or ["."])]) as git:
        commit, time = "", 0
        parents: tuple[str, ...] = ("",)
        about: bytes | None = None
        for token in _tokens(git):
            if about is not None:
                touch = _touch(commit, time, parents, about, os.fsdecode(token))
                about = None
                if touch is not None and touch.path.startswith(prefix):
                    yield touch if not prefix else _below(touch, prefix)
            elif (head := token.removeprefix(b"\n")).startswith(b":"):
                about = head
            elif token:
                words = token.decode("ascii").split()
                commit, time, parents = words[0], int(words[1]), tuple(words[2:]) or ("",)


def _below(touch: Touch, prefix: str) -> Touch:
    # git log --relative leaves the names of merges as they are.
    return Touch(
        touch.commit, touch.time, touch.parents, touch.path[len(prefix) :], touch.before, touch.after
    )


def _touch(commit: str, time: int, parents: tuple[str, ...], about: bytes, path: str) -> Touch | None:
    """Read ":MODE MODE BLOB BLOB STATUS", or with one more of each for each further parent (git-diff(1), raw output)."""
    count = len(about) - len(about.lstrip(b":")) + 1
    words = about[count - 1 :].split(b" ")
    modes, blobs = words[:count], words[count : 2 * count]
    named = [
        blob.decode("ascii") if mode in _REGULAR and blob.strip(b"0") else ""
        for mode, blob in zip(modes, blobs, strict=True)
    ]
    if not any(named):
        return None
    return Touch(commit, time, parents[: count - 1], path, tuple(named[:-1]), named[-1])


def _tokens(git: Pipes) -> Iterator[bytes]:
    git.given.close()
    rest = b""
    while chunk := git.said.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole


def day_of(seconds: int) -> str:
    """Return the day of a commit's time, ``YYYY-MM-DD``, UTC; a commit may claim any time, and then it is 1970-01-01."""
    import datetime

    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return "1970-01-01"


class Objects:
    """Objects of the repository by name, from one ``git cat-file``; to be used as a context manager.

    ``missing`` counts those asked for that this clone does not have.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._running = ExitStack()
        self._pipes: Pipes | None = None
        self._absent: frozenset[str] = frozenset()
        self._deaths = 0
        self.missing = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._running.__exit__(kind, error, trace)

    def read(self, name: str, limit: int) -> tuple[str, bytes | None]:
        """Return the full name and the bytes of the object ``name``; ("", None) when there is none.

        ``name`` is anything that git takes for one (a blob's name, ``COMMIT:PATH``) on one line. The bytes are None for an
        object of more than ``limit`` bytes.

        Raises:
            RefusedInput: USAGE, a name of several lines.
            SecretsmithError: ERROR, git is missing or failed.
        """
        for _, full, data in self._batch([name], limit):
            return full, data
        raise AssertionError("each name has an answer")

    def read_all(self, names: Iterable[str], limit: int) -> Iterator[tuple[str, bytes | None]]:
        """Yield the bytes of many objects, each with the name it was asked by; None as :meth:`read`.

        Until the last one was taken, nothing else may be asked.
        """
        waiting = iter(names)
        while batch := list(islice(waiting, _AT_ONCE)):
            for name, _, data in self._batch(batch, limit):
                yield name, data

    def _batch(self, names: Sequence[str], limit: int) -> Iterator[tuple[str, str, bytes | None]]:
        if any("\n" in name for name in names):
            raise RefusedInput(Code.USAGE, "the name of a git object has one line")
        left = list(names)
        while left:
            asked_for = [name for name in left if name not in self._absent]
            git = self._ask(asked_for) if asked_for else None
            died = False
            while left and not died:
                name = left.pop(0)
                answer = None if git is None or name in self._absent else self._answer(git, limit)
                if answer is None and name not in self._absent:
                    self._learn_absent()
                    died = True
                if answer is None or not answer[0]:
                    self.missing += 1
                yield name, *(answer or ("", None))

    def _ask(self, names: Sequence[str]) -> Pipes:
        if self._pipes is None:
            self._pipes = self._running.enter_context(started(self._root, ["cat-file", "--batch"]))
        # A few hundred names fit into a pipe, so that neither side waits for the other to read first.
        with suppress(BrokenPipeError):
            self._pipes.given.write(b"".join(os.fsencode(name) + b"\n" for name in names))
            self._pipes.given.flush()
        return self._pipes

    def _answer(self, git: Pipes, limit: int) -> tuple[str, bytes | None] | None:
        """Return the next answer; None when git died instead of answering."""
        head = git.said.readline()
        if not head:
            return None
        words = head.split()
        if head.endswith((b" missing\n", b" ambiguous\n")):
            return "", None
        if len(words) != 3:
            raise self._broken()
        size = int(words[2])
        return words[0].decode("ascii"), self._take(git, size, keep=size <= limit)

    def _learn_absent(self) -> None:
        """Find out what a partial clone lacks: git dies of an object that it would have to fetch and may not."""
        with suppress(SecretsmithError, BrokenPipeError):
            self._running.close()
        self._pipes = None
        self._deaths += 1
        if self._deaths == 1:
            listed = asked(self._root, ["rev-list", "--objects", "--all", "--missing=print"]) or b""
            lacking = (line[1:] for line in listed.split(b"\n") if line.startswith(b"?"))
            self._absent = frozenset(line.decode("ascii") for line in lacking)
        elif self._deaths > _MAX_DEATHS:
            raise self._broken()

    def commit_time(self, commit: str) -> int:
        """Return the time of a commit in seconds since 1970, 0 when this clone does not have it."""
        _, data = self.read(commit, 1 << 24)
        for line in (data or b"").split(b"\n\n", 1)[0].split(b"\n"):
            if line.startswith(b"committer "):
                words = line.split(b" ")
                return int(words[-2]) if words[-2].isdigit() else 0
        return 0

    def _take(self, git: Pipes, size: int, *, keep: bool) -> bytes | None:
        kept = git.said.read(size) if keep else b""
        left = 0 if keep else size
        while left and (part := git.said.read(min(left, _CHUNK))):
            left -= len(part)
        if (keep and len(kept) != size) or left or git.said.read(1) != b"\n":
            raise self._broken()
        return kept if keep else None

    def _broken(self) -> SecretsmithError:
        return SecretsmithError(
            Code.ERROR, "git cat-file stopped in the middle", hints=("git fsck says whether it is damaged",)
        )


__all__ = [
    "MAX_PATHSPECS",
    "MAX_TIPS",
    "Objects",
    "Touch",
    "commit_of",
    "day_of",
    "files_at",
    "is_secret_name",
    "is_shallow",
    "merge_base",
    "prefix_of",
    "tips",
    "touches",
]
