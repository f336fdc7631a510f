"""The few questions that only git answers, asked without a shell and without running what a repository brings along."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from secretsmith.errors import Code, SecretsmithError
from secretsmith.store.clone import git_folder

if TYPE_CHECKING:
    from subprocess import CompletedProcess

_TIMEOUT_SECONDS: Final = 120.0
# Within a hook git sets GIT_DIR, GIT_INDEX_FILE and more, which would make our git work on another repository or index.
# Only where the user's own configuration lies is kept.
_KEPT: Final = frozenset(
    {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES"}
)
# fsmonitor is a program named by the repository's configuration, and hooks are programs inside it.
_QUIET: Final = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
_OPTIONS: Final = (*_QUIET, "--literal-pathspecs")
# History as it was pushed: no replacements made in this clone, and nothing fetched for the asking (in a partial clone that
# would talk to a server that the repository's configuration names), nothing verified by a gpg that it names.
_READING: Final = (
    *_OPTIONS,
    "--no-replace-objects",
    *("-c", "protocol.allow=never", "-c", "log.follow=false", "-c", "log.showRoot=true"),
    *("-c", "log.showSignature=false", "-c", "core.commitGraph=true"),
)
_WRITTEN: Final = "the files themselves are written; git status shows them"


class Pipes(NamedTuple):
    """Both ends of a git that runs beside us: what it reads, and what it writes."""

    given: IO[bytes]
    said: IO[bytes]


def in_git(root: Path) -> bool:
    """Say whether ``root`` lies in a git work tree and git is installed; starts no process."""
    return git_folder(root) is not None and _installed()


def intent_to_add(root: Path, paths: Iterable[str]) -> tuple[str, ...]:
    """Register new files (relative to ``root``) as ``git add --intent-to-add`` does, so that flakes see them.

    Returns:
        The paths that git left out because it ignores them.

    Raises:
        SecretsmithError: ERROR, git is missing or failed; the files themselves are not touched.
    """
    return _add(root, paths, "--intent-to-add")


def add(root: Path, paths: Iterable[str]) -> tuple[str, ...]:
    """Stage files as ``git add`` does; returns and raises as :func:`intent_to_add`."""
    return _add(root, paths)


def tracked(root: Path, paths: Sequence[str] = ()) -> frozenset[str]:
    """Return the files below ``root`` that git's index knows, intent-to-add included, relative to ``root``.

    ``paths`` limits them to these files and to what lies below these folders.

    Raises:
        SecretsmithError: ERROR, git is missing or failed.
    """
    result = _checked(root, ["ls-files", "-z", "--", *paths])
    return frozenset(_split(result.stdout))


def asked(root: Path, arguments: Sequence[str], *, fails: bool = False) -> bytes | None:
    """Return what git says of the repository; nothing is changed or fetched. ``fails``: None when it says no.

    Raises:
        SecretsmithError: ERROR, git is missing or failed.
    """
    result = _run(root, arguments, b"", options=_READING)
    if result.returncode == 0:
        return result.stdout
    if fails and result.returncode == 1:
        return None
    raise _failed(arguments[0], result.stderr)


@contextmanager
def started(root: Path, arguments: Sequence[str]) -> Iterator[Pipes]:
    """Run git with pipes to write to and read from, for answers too long to hold; nothing is changed or fetched.

    The block reads all that it writes; git is stopped when an exception leaves the block.

    Raises:
        SecretsmithError: ERROR, git is missing or failed.
    """
    import subprocess  # a process is started anyway
    import tempfile

    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                ["git", *_READING, "-C", os.fspath(root), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environ(),
            )
        except OSError as error:
            raise _unstarted(error) from error
        with process:
            assert process.stdin is not None  # noqa: S101  (PIPE was given)
            assert process.stdout is not None  # noqa: S101
            try:
                yield Pipes(process.stdin, process.stdout)
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            errors.seek(0)
            raise _failed(arguments[0], errors.read(4096))


def merged_text(base: Path, ours: Path, theirs: Path) -> tuple[bytes, bool]:
    """Merge three texts by lines, as git does; returns the text, in it conflicts in diff3 style, and whether there is none.

    Raises:
        SecretsmithError: ERROR, git is missing or failed.
    """
    labels = ("-L", "ours", "-L", "base", "-L", "theirs")
    files = [os.fspath(path.absolute()) for path in (ours, base, theirs)]
    result = _run(ours.absolute().parent, ["merge-file", "-p", "--diff3", *labels, *files], b"")
    if not 0 <= result.returncode < 128:  # git-merge-file(1): the number of conflicts, at most 127
        raise _failed("merge-file", result.stderr)
    return result.stdout, result.returncode == 0


def ignored(root: Path, paths: Iterable[str]) -> frozenset[str]:
    """Return those of ``paths`` (relative to ``root``) that are not tracked and that git ignores.

    Raises:
        SecretsmithError: ERROR, git is missing or failed.
    """
    asked = list(paths)
    if not asked:
        return frozenset()
    # check-ignore(1): 0 some are ignored, 1 none is, 128 an error
    # It refuses --literal-pathspecs and matches no wildcards; "./" keeps a leading colon from meaning anything.
    given = _joined(f"./{path}" for path in asked)
    result = _run(root, ["check-ignore", "--stdin", "-z"], given, options=_QUIET)
    if result.returncode not in (0, 1):
        raise _failed("check-ignore", result.stderr)
    return frozenset(path.removeprefix("./") for path in _split(result.stdout))


def _add(root: Path, paths: Iterable[str], *options: str) -> tuple[str, ...]:
    wanted = list(dict.fromkeys(paths))
    if not wanted:
        return ()
    # git add ends with 1 when it meets an ignored file, and says so only in words, so they are sorted out first.
    hidden = ignored(root, wanted)
    left = [path for path in wanted if path not in hidden]
    if left:
        _checked(root, ["add", *options, "--pathspec-from-file=-", "--pathspec-file-nul"], _joined(left))
    return tuple(path for path in wanted if path in hidden)


def _checked(root: Path, arguments: Sequence[str], given: bytes = b"") -> CompletedProcess[bytes]:
    result = _run(root, arguments, given)
    if result.returncode != 0:
        raise _failed(arguments[0], result.stderr, _WRITTEN)
    return result


def _run(
    root: Path, arguments: Sequence[str], given: bytes, *, options: Sequence[str] = _OPTIONS
) -> CompletedProcess[bytes]:
    import subprocess  # a process is started anyway; light commands never get here

    try:
        return subprocess.run(
            ["git", *options, "-C", os.fspath(root), *arguments],
            input=given,
            capture_output=True,
            env=_environ(),
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SecretsmithError(
            Code.ERROR, f"git {arguments[0]} did not end in {_TIMEOUT_SECONDS:.0f} s"
        ) from error
    except OSError as error:
        raise _unstarted(error) from error


def _environ() -> dict[str, str]:
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT
    }
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}
    return environ | quiet | {"LC_ALL": "C"}


def _unstarted(error: OSError) -> SecretsmithError:
    if isinstance(error, FileNotFoundError):
        return SecretsmithError(
            Code.ERROR, "git is not installed", hints=('or set git = "off" in secretsmith.toml',)
        )
    return SecretsmithError(Code.ERROR, f"git could not be started: {error.strerror}")


def _failed(verb: str, stderr: bytes, *hints: str) -> SecretsmithError:
    lines = stderr.decode("utf-8", errors="replace").strip().splitlines() or ["no reason given"]
    # The first line says what is wrong; escape sequences of a hostile file name are kept off the terminal.
    reason = "".join(char if char.isprintable() else "?" for char in lines[0])
    return SecretsmithError(Code.ERROR, f"git {verb} failed: {reason}", hints=hints)


def _installed() -> bool:
    return any(
        os.access(os.path.join(folder, "git"), os.X_OK)
        for folder in os.get_exec_path()
        if os.path.isabs(folder)
    )


def _joined(paths: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _split(output: bytes) -> list[str]:
    return [os.fsdecode(item) for item in output.split(b"\0") if item]


__all__ = ["Pipes", "add", "asked", "ignored", "in_git", "intent_to_add", "merged_text", "started", "tracked"]
