"""Reading: start-up, one document, one value, lists and checks of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from benchmarks.cases import keepers
from benchmarks.cases.model import Case, Setup, Trial
from benchmarks.fleet import Fleet
from benchmarks.measure import Command
from benchmarks.programs import BARE, SECRETSMITH
from benchmarks.workshop import Workshop, clear_document
from secretsmith.documents.format import Format
from secretsmith.documents.sopsnew import new_document

PYTHON: Final = "python -c pass"
AGE: Final = "age -d"
SOPS: Final = "sops -d"
SOPS_HELP: Final = "sops --help"


def _bare(command: Command) -> Command:
    return replace(command, argv=BARE)


def _start(*words: str) -> Callable[[Workshop, int], Setup]:
    def prepare(shop: Workshop, n: int) -> Setup:
        ours = Command([*SECRETSMITH, *words], shop.env, shop.fresh())
        return Setup(ours, {PYTHON: _bare(ours), SOPS_HELP: replace(ours, argv=["sops", "--help"])})

    return prepare


def _document(shop: Workshop, n: int) -> Setup:
    """A document of n values outside of a repository: the same file, the same key in the same variable."""
    folder = shop.fresh()
    keys = shop.keys[:5]
    (folder / "app.yaml").write_bytes(
        new_document(Format.YAML, clear_document(n), [[key.public.derived for key in keys]])
    )
    env = {**shop.env, "SOPS_AGE_KEY_FILE": str(keys[0].derived)}
    ours = Command([*SECRETSMITH, "decrypt", "app.yaml"], env, folder)
    return Setup(ours, {SOPS: replace(ours, argv=["sops", "-d", "app.yaml"])})


def _show(readers: int) -> Callable[[Workshop, int], Setup]:
    def prepare(shop: Workshop, n: int) -> Setup:
        fleet = Fleet(shop, n, readers)
        ours = fleet.command("show", fleet.paths[0])
        age = replace(ours, argv=["age", "-d", "-i", str(fleet.admin.native), fleet.paths[0]])
        return Setup(ours, {PYTHON: _bare(ours), AGE: age})

    return prepare


def _others(shop: Workshop, n: int) -> Setup:
    fleet = Fleet(shop, n)
    return Setup(fleet.command("show", fleet.paths[0]), keepers.commands(fleet))


def _listing(name: str) -> Callable[[Workshop, int], Setup]:
    def prepare(shop: Workshop, n: int) -> Setup:
        fleet = Fleet(shop, n)
        ours = fleet.command(name)
        return Setup(ours, {PYTHON: _bare(ours)})

    return prepare


def _listed(name: str, title: str) -> Case:
    sizes = (1, 10, 100, 1000, 10_000)
    return Case(
        name,
        title,
        tuple(Trial("{n} secrets", n, _listing(name), {PYTHON: ()}, grows=True) for n in sizes),
        growth="growth, 100 to 10,000",
    )


START: Final = Case(
    "start",
    "secretsmith that has nothing to do",
    (
        Trial("--version", 0, _start("--version"), {PYTHON: ()}),
        Trial("--help", 0, _start("--help"), {PYTHON: (), SOPS_HELP: ("sops",)}),
    ),
)
DOCUMENT: Final = Case(
    "document",
    "secretsmith decrypt of a YAML document",
    tuple(Trial("{n} values", n, _document, {SOPS: ("sops",)}) for n in (10, 1000, 10_000)),
)
SHOW: Final = Case(
    "show",
    "secretsmith show of an age file",
    (
        *(
            Trial(f"{readers} reader{'s' * (readers > 1)}", 1, _show(readers), {PYTHON: (), AGE: ("age",)})
            for readers in (1, 5, 20, 100)
        ),
        Trial("5 readers, other keepers", 1, _others, keepers.NEEDS),
    ),
)
LS: Final = _listed("ls", "secretsmith ls")
CHECK: Final = _listed("check", "secretsmith check")

__all__ = ["AGE", "CHECK", "DOCUMENT", "LS", "PYTHON", "SHOW", "SOPS", "SOPS_HELP", "START"]
