"""The shape of the house, as rules: who may import whom, and where the dangerous calls live."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from modules import Module, imported_modules, load_modules

ROOT = Path(__file__).resolve().parent.parent
MODULES = load_modules(ROOT, "secretsmith")

LEAVES = {
    "errors",
    "record",
    "sensitive",
    "interaction",
    "manifest",
    "findings",
    "hostkeytext",
    "regex",
    "parallel",
}
BELOW = {"crypto", "documents", "store", "policy", "identities"}

# part of the package → what it may import besides itself and the leaves. Longer names are exceptions that come first.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "record": set(),
    "sensitive": set(),
    "interaction": {"errors", "sensitive"},
    "manifest": {"errors", "record"},
    "findings": {"record"},
    "hostkeytext": set(),
    "parallel": set(),
    "regex": {"errors", "record"},
    "crypto": set(),
    "documents.seal": {"crypto"},
    # sops documents: the data key, the values, the MAC. Their codecs know text alone.
    **{f"documents.sops{part}": {"crypto"} for part in ("key", "open", "write", "rewrap", "readers")},
    "documents": set(),
    "store": set(),
    "policy": {"crypto"},
    "identities": {"crypto", "store"},
    "project": BELOW,
    "activation": {"crypto", "documents", "store", "identities", "version"},
    "plugin": {"version"},
    "operations.demo": {*BELOW, "project", "operations", "activation", "plugin"},
    # both ends have to be of one version
    "operations.deploy": {*BELOW, "project", "operations", "plugin", "version"},
    "operations": {*BELOW, "project", "plugin"},
    "testing": {*BELOW, "project", "operations", "plugin"},
    # what plugins/secretsmith-keyring gets of us, and no more
    "keyringdoor": {"store", "project", "operations.keyringlogins"},
    # what a command parses its arguments with, and lists
    "cli": {
        "operations",
        "activation",
        "project",
        "plugin.loader",
        "identities.ring",
        "crypto.publickey",
        "version",
    },
    "__main__": {"cli"},
    "version": set(),
}

# third-party package → the only modules that import it
CONFINED = {
    "pyrage": {"crypto._pyrage"},
    "nacl": {"crypto._sodium"},
    "cryptography": {"crypto"},
    "tomlkit": {"policy.edit"},
    "typer": {"cli.typed"},
    "ruamel": {"documents"},
    "keyring": {"identities"},
}
STARTS_PROGRAMS = {
    "store.git",
    "identities.command",
    "identities.pgp",
    "operations.editor",
    "operations.run",
    "operations.demo",
    "operations.sshclient",
    # ssh, pip, and on the host what a deploy starts there
    "operations.deploy.sshdoor",
    "operations.deploy.connection",
    "operations.deploy.wheels",
    "operations.deploy.remote.channel",
    "activation.units.sealing",
    "activation.units.telling",
    "plugin.process",
}
# cli.terminal opens /dev/tty, cli.streams and crypto._worker /dev/null, for descriptors that must not be closed
# operations.deploy.remote is what runs on a host, where nothing else of ours may be
OPENS_FILES = {
    "store",
    "activation",
    "operations.demo",
    "operations.deploy.remote",
    "cli.terminal",
    "cli.streams",
    "crypto._worker",
}
SPEAKS = {"cli"}

PROGRAM_CALLS = re.compile(
    r"(os\.(system|popen|exec\w+|spawn\w+|posix_spawnp?)|subprocess\.\w+|pty\.spawn)\Z"
)
FILE_CALLS = re.compile(
    r"(open|io\.open|os\.(open|rename|replace|unlink|remove|symlink|link|truncate|mkfifo|mknod)"
    r"|shutil\.(move|copy\w*|rmtree)|tempfile\.\w+|\.?\w*\.(write_text|write_bytes|touch|symlink_to|hardlink_to))\Z"
)
SPEECH_CALLS = re.compile(r"(print|sys\.exit|exit|quit|getpass\.getpass|input)\Z")


def short(name: str) -> str:
    """The name inside the package; the package itself holds the version."""
    return name.partition(".")[2] or "version"


def part_of(name: str, parts: set[str]) -> str | None:
    """The longest of ``parts`` that ``name`` lies in."""
    found = [part for part in parts if name == part or name.startswith(f"{part}.")]
    return max(found, key=len, default=None)


def test_every_module_belongs_to_a_part() -> None:
    unknown = [name for name in MODULES if part_of(short(name), set(ARROWS)) is None]
    assert not unknown, "say in ARROWS what these may import"


def test_imports_point_one_way() -> None:
    wrong = []
    for module in MODULES.values():
        part = part_of(short(module.name), set(ARROWS))
        assert part is not None
        allowed = ARROWS[part] | LEAVES | {part, part.partition(".")[0]}
        if part in LEAVES:
            allowed = ARROWS[part] | {part}
        for target, line in imported_modules(module, MODULES):
            if part_of(short(target), allowed) is None:
                wrong.append(f"{module.name}:{line} imports {target}")
    assert not wrong


def test_no_cycles_even_inside_functions() -> None:
    graph: dict[str, set[str]] = {}
    for module in MODULES.values():
        targets = {name for name, _ in imported_modules(module, MODULES, typing_only=False)}
        # A package's __init__ re-exports its modules; they import each other, not the package.
        graph[module.name] = targets - {module.name}
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(f"modules import each other: {' → '.join(reversed(error.args[1]))}")


@pytest.mark.parametrize("package", sorted(CONFINED))
def test_third_party_packages_are_imported_in_one_place(package: str) -> None:
    assert not list(_outside(CONFINED[package], package))


def test_no_other_third_party_package() -> None:
    import sys

    known = {*sys.stdlib_module_names, *CONFINED, "secretsmith"}
    foreign = {
        f"{module.name}:{found.line} imports {found.module}"
        for module in MODULES.values()
        for found in module.imports
        if found.module.partition(".")[0] not in known
    }
    assert not foreign


def _outside(allowed: set[str], package: str) -> Iterator[str]:
    for module in MODULES.values():
        for found in module.imports:
            if found.module.partition(".")[0] == package and part_of(short(module.name), allowed) is None:
                yield f"{module.name}:{found.line} imports {found.module}"


@pytest.mark.parametrize(
    ("allowed", "calls"),
    [(STARTS_PROGRAMS, PROGRAM_CALLS), (OPENS_FILES, FILE_CALLS), (SPEAKS, SPEECH_CALLS)],
    ids=["programs", "files", "speech"],
)
def test_dangerous_calls_are_confined(allowed: set[str], calls: re.Pattern[str]) -> None:
    found = [
        f"{module.name}:{line} calls {called}"
        for module in MODULES.values()
        if part_of(short(module.name), allowed) is None
        for called, line in module.calls()
        if calls.match(called)
    ]
    assert not found


def test_subprocess_is_not_even_imported_elsewhere() -> None:
    assert not list(_outside(STARTS_PROGRAMS, "subprocess"))


def test_plugins_are_imported_by_the_loader_alone() -> None:
    calls = [
        module.name
        for module in MODULES.values()
        for called, _ in module.calls()
        if called == "importlib.import_module"
    ]
    assert set(calls) <= {"secretsmith.plugin.loader", "secretsmith.cli.table"}, (
        "the table names modules of our own"
    )


@pytest.mark.parametrize(
    "plugin", sorted(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())
)
def test_plugins_import_the_api_alone(plugin: str) -> None:
    package = plugin.replace("-", "_")
    allowed = {
        "secretsmith.plugin.api",
        "secretsmith.errors",
        "secretsmith.manifest",
        "secretsmith.sensitive",
    }
    if plugin == "secretsmith-keyring":
        # No plugin of ours but one of keyring's: it has a door of its own, and no context.
        allowed = {"secretsmith.keyringdoor", "secretsmith.errors", "secretsmith.sensitive"}
    modules = load_modules(ROOT / "plugins" / plugin, package)
    assert modules, f"plugins/{plugin} holds no package {package}"
    foreign = {
        f"{module.name}:{found.line} imports {found.module}"
        for module in modules.values()
        for found in module.imports
        if found.module.startswith("secretsmith.") and found.module not in allowed
    }
    assert not foreign


@pytest.mark.parametrize("module", [pytest.param(module, id=module.name) for module in MODULES.values()])
def test_modules_stay_small(module: Module) -> None:
    assert module.lines <= 400, "split it"


def test_the_rules_bite(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("def f():\n    from . import b\n    b.g().write_text('')\n    os.open(1)\n")
    (package / "b.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pack.a\n")
    modules = load_modules(tmp_path, "pack")
    assert list(imported_modules(modules["pack.a"], modules)) == [("pack.b", 2)]
    assert list(imported_modules(modules["pack.b"], modules)) == [("pack.a", 3)]
    assert not list(imported_modules(modules["pack.b"], modules, typing_only=False))
    assert {name for name, _ in modules["pack.a"].calls() if FILE_CALLS.match(name)} == {
        ".write_text",
        "os.open",
    }
