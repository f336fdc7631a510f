"""Holds a plugin against the Protocol of its group: version, methods, parameter names.

Types are mypy's business; names are what goes wrong between two releases, and what can be told at load instead of in the
middle of a command.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Final

from secretsmith.plugin.api import (
    API_VERSION,
    GROUPS,
    Inspecting,
    PassphraseProvider,
    StoringSource,
    Traceable,
)

CAPABILITIES: Final[Mapping[str, tuple[type, ...]]] = {
    "secretsmith.builders": (Traceable,),
    "secretsmith.sources": (StoringSource,),
    "secretsmith.identities": (PassphraseProvider,),
}
"""Further Protocols that plugins of a group may satisfy; Inspecting is for all."""


def complaint(group: str, plugin: object) -> str | None:
    """Say what is wrong with ``plugin`` as a member of ``group``; None when nothing is."""
    version = getattr(plugin, "api_version", None)
    if not isinstance(version, int) or isinstance(version, bool):
        return f"it has no api_version (this secretsmith speaks {API_VERSION})"
    if version != API_VERSION:
        return f"it is written for plugin API {version}, this secretsmith speaks {API_VERSION}"
    for name, wanted in _methods(GROUPS[group]):
        if wrong := _mismatch(plugin, name, wanted):
            return wrong
    return _half_a_capability(group, plugin)


def _half_a_capability(group: str, plugin: object) -> str | None:
    for capability in (Inspecting, *CAPABILITIES.get(group, ())):
        methods = list(_methods(capability))
        if any(hasattr(plugin, name) for name, _ in methods):
            for name, wanted in methods:
                if wrong := _mismatch(plugin, name, wanted):
                    return wrong
    return None


def _methods(protocol: type) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each public method of a Protocol with its parameter names, without self."""
    for base in reversed(protocol.__mro__):
        for name, member in vars(base).items():
            if not name.startswith("_") and inspect.isfunction(member):
                yield name, tuple(inspect.signature(member).parameters)[1:]


def _mismatch(plugin: object, name: str, wanted: tuple[str, ...]) -> str | None:
    method = getattr(plugin, name, None)
    if not callable(method):
        return f"it has no method {name}({', '.join(wanted)})"
    try:
        parameters = list(inspect.signature(method).parameters.values())
    except (TypeError, ValueError):
        return f"the parameters of its method {name} cannot be read"
    named, further = parameters[: len(wanted)], parameters[len(wanted) :]
    by_name = all(parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for parameter in named)
    if not by_name or tuple(parameter.name for parameter in named) != wanted or any(map(_needed, further)):
        shown = ", ".join(str(parameter.name) for parameter in parameters)
        return f"its method {name} takes ({shown}), not ({', '.join(wanted)})"
    return None


def _needed(parameter: inspect.Parameter) -> bool:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in variadic


__all__ = ["complaint"]
