"""The package's source as syntax trees, for tests that hold it to rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Imported:
    """One import statement: the module it names, where it stands, and whether it is only for the type checker."""

    module: str
    names: tuple[str, ...]
    line: int
    typing_only: bool


@dataclass(frozen=True)
class Module:
    """One source file. ``name`` is dotted; a package's ``__init__`` has the package's name."""

    name: str
    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def imports(self) -> tuple[Imported, ...]:
        return tuple(self._imports(self.tree, typing_only=False))

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    def calls(self) -> Iterator[tuple[str, int]]:
        """Yield the dotted name of everything called (`os.open`, `.write_text` for a method of anything) and its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield _dotted(node.func), node.lineno

    def _imports(self, node: ast.AST, *, typing_only: bool) -> Iterator[Imported]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for name in child.names:
                    yield Imported(name.name, (), child.lineno, typing_only)
            elif isinstance(child, ast.ImportFrom):
                names = tuple(name.name for name in child.names)
                yield Imported(self._absolute(child), names, child.lineno, typing_only)
            else:
                inside = typing_only or (
                    isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                )
                yield from self._imports(child, typing_only=inside)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        if self.path.name != "__init__.py":
            parts = parts[:-1]
        parts = parts[: len(parts) - node.level + 1]
        return ".".join((*parts, node.module) if node.module else parts)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{node.value.id}.{node.attr}" if isinstance(node.value, ast.Name) else f".{node.attr}"
    return ""


def load_modules(root: Path, package: str) -> dict[str, Module]:
    """Return the modules of a package by dotted name; ``root`` is the folder that holds it."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, path.read_text())
    return found


def imported_modules(
    module: Module, modules: dict[str, Module], *, typing_only: bool = True
) -> Iterator[tuple[str, int]]:
    """Yield which modules of the package ``module`` imports, submodules of ``from package import module`` included."""
    for found in module.imports:
        if found.typing_only and not typing_only:
            continue
        inner = [name for name in (f"{found.module}.{part}" for part in found.names) if name in modules]
        if found.module in modules and len(inner) < max(1, len(found.names)):
            yield found.module, found.line
        yield from ((name, found.line) for name in inner)
