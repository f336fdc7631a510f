"""Puts an entry into a store, and commits it where the store is a git tree, as pass, passage and gopass do.

What git refuses (no name set, a merge under way, a hook) leaves the store as it was: the old entry, nothing staged.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from secretsmith.errors import Code, SecretsmithError
from secretsmith.plugin.api import Completed, PluginContext
from secretsmith_pass.stores import Store

_SECONDS: Final = 180.0  # hooks, and the passphrase for a signed commit
# Those that `git rev-parse --local-env-vars` lists: in a hook of some repository they name it, and would have us commit there.
_ELSEWHERE: Final = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT", "GIT_OBJECT_DIRECTORY",
    "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE", "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR",
)  # fmt: skip
# They do not go with --literal-pathspecs.
_PATTERNS: Final = ("GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS")


def commit_entry(
    store: Store, name: str, place: Path, data: bytes, before: bytes | None, context: PluginContext
) -> None:
    """Write ``data`` to ``place`` in the store and commit it; ``before`` are the bytes that are there now, None for none.

    ``name`` is the entry's name on one line. Raises SecretsmithError when the disk or git refuses.
    """
    context.write_user_file(place, data)
    try:
        _commit(store, name, place, created=before is None, context=context)
    except BaseException:
        if before is not None:
            context.write_user_file(place, before)
        else:
            with suppress(OSError):
                os.unlink(place)
        # What was staged for an entry that is gone again; where even that fails, git status says so.
        with suppress(SecretsmithError):
            _git(store, place, ("reset", "--quiet", "--", str(place)), context)
        raise


def _commit(store: Store, name: str, place: Path, *, created: bool, context: PluginContext) -> None:
    inside = _git(store, place, ("rev-parse", "--is-inside-work-tree"), context)
    if inside.output.expose().strip() != b"true":
        return
    _do(store, place, ("add", "--", str(place)), context)
    if not _do(store, place, ("status", "--porcelain", "--", str(place)), context).output:
        return  # ignored, or as it was
    signs = _git(store, place, ("config", "--bool", "--get", "pass.signcommits"), context)
    sign = ("-S",) if signs.output.expose().strip() == b"true" else ()
    text = (
        f"Add given password for {name} to store."
        if created
        else f"Edit password for {name} using secretsmith."
    )
    # This path alone: what the person has staged for himself stays staged.
    _do(store, place, ("commit", "--quiet", *sign, "-m", text, "--", str(place)), context)


def _do(store: Store, place: Path, words: Sequence[str], context: PluginContext) -> Completed:
    done = _git(store, place, words, context)
    if done.status != 0:
        raise SecretsmithError(
            Code.PLUGIN_FAILED,
            f"{store.shown}: git {words[0]} failed, and the entry is as it was",
            hints=(f"see what is wrong: git -C {store.shown} status", *_last_line(done.errors)),
        )
    return done


def _last_line(text: str) -> tuple[str, ...]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (f"git: {lines[-1][:200]}",) if lines else ()


def _git(store: Store, place: Path, words: Sequence[str], context: PluginContext) -> Completed:
    folder = place.parent
    unfit = [variable for variable in (*_ELSEWHERE, *_PATTERNS) if variable in context.environ]
    drop = [word for variable in unfit for word in ("-u", variable)]
    # Literal: an entry may be called `web/*`, and what else lies in the folder is not ours to stage or to take back.
    return context.run(
        ["env", *drop, "git", "--literal-pathspecs", "-C", str(folder), *words],
        timeout=_SECONDS,
        # A store that is no git tree must not be taken for part of a dotfiles repository above it, as pass has it.
        environ={"GIT_CEILING_DIRECTORIES": str(store.root.parent)},
        folder=folder,
    )


__all__ = ["commit_entry"]
