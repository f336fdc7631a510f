"""What runs as root at boot never reaches a keyring, however deep the import."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from modules import imported_modules, load_modules

ROOT = Path(__file__).resolve().parents[2]
KEYRINGS = {
    f"secretsmith.identities.{name}" for name in ("bounded", "desktop", "keepers", "kernelkeys", "provided")
}


@cache
def imports() -> dict[str, set[str]]:
    modules = load_modules(ROOT, "secretsmith")
    return {
        name: {target for target, _ in imported_modules(module, modules, typing_only=False)}
        for name, module in modules.items()
    }


def reached(starts: set[str]) -> set[str]:
    """Every module that these import, functions' imports included."""
    graph = imports()
    found: set[str] = set()
    todo = {name for name in graph if any(name == start or name.startswith(f"{start}.") for start in starts)}
    while todo:
        found |= todo
        todo = {target for name in todo for target in graph.get(name, ())} - found
    return found


def test_activation_reaches_no_keyring() -> None:
    assert not reached({"secretsmith.activation", "secretsmith.cli.activate"}) & KEYRINGS


def test_the_search_finds_them_where_they_are_used() -> None:
    assert reached({"secretsmith.cli.commands.identity"}) >= KEYRINGS, "by way of the ring"
