"""``export pass``: values of secrets, written into a password store by its own rules of who reads it.

For every source that can be written (:class:`secretsmith.plugin.api.StoringSource`).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import cast

from secretsmith.errors import Code, Conflict, Interrupted, NotFound, RefusedInput, SecretsmithError
from secretsmith.operations.locate import SUFFIXES
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.operations.show import show_secret
from secretsmith.plugin.api import Source, StoringSource
from secretsmith.plugin.loader import Loaded, Loader
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.sensitive import Sensitive

_MARKS = "#?%"  # what a reference gives a meaning to


@record
class Stored:
    """One value: ``target`` is ``SCHEME:REFERENCE``; ``state`` says what became of it: new, replaced, written, unchanged."""

    path: str
    target: str
    state: str


@record
class _Value:
    path: str
    reference: str
    value: Sensitive


def export_secrets(
    project: Project,
    scheme: str,
    paths: Sequence[str],
    *,
    name: str | None = None,
    prefix: str = "",
    force: bool = False,
    loader: Loader | None = None,
) -> tuple[Stored, ...]:
    """Write the values of ``paths`` (relative to the root) into the store.

    An entry is called as its file below the secrets, without suffix, behind ``prefix``, or ``name``. A value of one line
    becomes the first line, and what stands behind it in an entry stays; any other value is the whole entry. ``force``
    replaces other values.

    Raises:
        NotFound: PLUGIN_MISSING; no store.
        RefusedInput: USAGE, a source that cannot be written, one name for several values; NAME, no name for a value.
        Conflict: EXISTS, another value is there and nobody can be asked.
        Interrupted: the answer was no.
        SecretsmithError: what opening the secrets and the store raise; the hints say what was written before.
    """
    loaded = (loader or Loader()).source(scheme)
    if not isinstance(loaded.plugin, StoringSource):
        raise RefusedInput(Code.USAGE, f"{loaded.entry.title} cannot be written")
    paths = tuple(dict.fromkeys(paths))
    if name is not None and len(paths) > 1:
        raise RefusedInput(Code.USAGE, "--name is for one secret; --prefix puts several below a folder")
    values = [_value(project, path, name or _name_for(project, path, prefix)) for path in paths]
    _refuse_doubles(scheme, values)
    context = RepositoryContext(project)
    states = {one.reference: "unknown" if force else _state(loaded, one, context) for one in values}
    _agree(project, scheme, [one for one in values if states[one.reference] == "other"])
    return _store(loaded, scheme, values, states, context)


def _name_for(project: Project, path: str, prefix: str) -> str:
    inside = path.removeprefix(f"{project.registry.secrets}/")
    suffix = next((suffix for suffix in SUFFIXES if inside.endswith(suffix)), "")
    name = inside.removesuffix(suffix)
    if any(mark in name for mark in _MARKS):
        raise RefusedInput(
            Code.NAME,
            f"{path}: its name has one of {' '.join(_MARKS)}, which mean something in a reference",
            hints=(f"give it one: --name NAME {shlex.quote(path)}",),
            path=path,
        )
    return f"{prefix.rstrip('/')}/{name}" if prefix else name


def _value(project: Project, path: str, name: str) -> _Value:
    value = show_secret(project, path)
    one_line = len(value) > 0 and b"\n" not in value.expose()
    return _Value(path, name if one_line or "#" in name else f"{name}#*", value)


def _refuse_doubles(scheme: str, values: Sequence[_Value]) -> None:
    places: dict[str, str] = {}
    for one in values:
        entry = one.reference.partition("#")[0]
        if entry in places:
            raise RefusedInput(
                Code.NAME_CLASH, f"{places[entry]} and {one.path} would both become {scheme}:{entry}"
            )
        places[entry] = one.path


def _state(loaded: Loaded[Source], one: _Value, context: RepositoryContext) -> str:
    """Say what the store has there: "new" for nothing, "unchanged" for this value, "other"."""
    try:
        with loaded.guard():
            there = loaded.plugin.fetch(one.reference, context).value
    except NotFound:
        with loaded.guard():
            entry = one.reference.partition("#")[0]
            return "new" if loaded.plugin.digest(entry, context) is None else "other"
    except RefusedInput as error:
        if error.code is not Code.FORMAT:
            raise
        return "other"  # an entry whose first line is empty, say
    return "unchanged" if there == one.value else "other"


def _agree(project: Project, scheme: str, values: Sequence[_Value]) -> None:
    if not values:
        return
    names = ", ".join(f"{scheme}:{one.reference}" for one in values)
    if not project.interaction.available:
        raise Conflict(
            Code.EXISTS,
            f"the store has other values there: {names}; nothing was written",
            hints=("replace them: --force", "or write elsewhere: --name NAME, --prefix FOLDER"),
        )
    if not project.interaction.confirm(
        f"the store has other values for {names}; replace them?", flag="--force"
    ):
        raise Interrupted(Code.INTERRUPTED, "nothing was exported")


def _store(
    loaded: Loaded[Source],
    scheme: str,
    values: Sequence[_Value],
    states: dict[str, str],
    context: RepositoryContext,
) -> tuple[Stored, ...]:
    plugin = cast(StoringSource, loaded.plugin)
    done: list[Stored] = []
    for one in values:
        state, target = states[one.reference], f"{scheme}:{one.reference}"
        try:
            if state != "unchanged":
                with loaded.guard():
                    plugin.store(one.reference, one.value, context)
        except SecretsmithError as error:
            before = [stored.target for stored in done if stored.state != "unchanged"]
            raise error.with_hints(
                *([f"written before that: {', '.join(before)}"] if before else [])
            ) from None
        shown = {"other": "replaced", "unknown": "written"}.get(state, state)
        done.append(Stored(one.path, target, shown))
    return tuple(done)


__all__ = ["Stored", "export_secrets"]
