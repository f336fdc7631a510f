"""Age files to other readers: ``secretsmith rekey`` and ``agenix -r``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from benchmarks import agenix
from benchmarks.cases.model import Case, Setup, Trial
from benchmarks.fleet import Fleet, Kept
from benchmarks.measure import Command
from benchmarks.workshop import Workshop

PEER: Final = "agenix -r"
_NEEDS: Final = {PEER: ("age", "bash", "nix-instantiate", "jq")}
_PEER_AT_MOST: Final = 50


def _agenix(fleet: Fleet, at_most: int, cores: int) -> Command:
    """Let agenix encrypt copies of the first files anew; it does so whether or not a reader changed."""
    folder = fleet.folder / "agenix"
    paths = fleet.paths[: min(at_most, len(fleet.paths))]
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes((fleet.root / path).read_bytes())
    (folder / "secrets.nix").write_text(agenix.rules(paths, [key.public.text for key in fleet.current()]))
    (folder / "rekey.sh").write_text(agenix.rekey())
    return Command(
        ["bash", "rekey.sh"],
        {**fleet.shop.env, "IDENTITY": str(fleet.admin.native)},
        folder,
        check=Kept(folder, paths).require_changed,
        cores=cores,
        share=len(paths) / len(fleet.paths),
    )


def _replaced(
    readers: int = 5, cores: int = 0, at_most: int = _PEER_AT_MOST
) -> Callable[[Workshop, int], Setup]:
    def prepare(shop: Workshop, n: int) -> Setup:
        fleet = Fleet(shop, n, readers)
        ours = replace(
            fleet.command("rekey", "--accept", "all", cores=cores),
            reset=fleet.replace_host,
            check=Kept(fleet.root, fleet.paths).require_changed,
        )
        return Setup(ours, {PEER: _agenix(fleet, at_most, cores)})

    return prepare


def _nothing(shop: Workshop, n: int) -> Setup:
    fleet = Fleet(shop, n)
    return Setup(fleet.command("rekey"), {PEER: _agenix(fleet, 10, 0)})


_FILES: Final = "{n} files"

REKEY: Final = Case(
    "rekey",
    "secretsmith rekey of age files, one host of 5 readers replaced; two cores",
    (
        *(Trial(_FILES, n, _replaced(cores=2), _NEEDS, grows=True) for n in (1, 10, 100, 1000)),
        Trial("{n} files, one core", 1000, _replaced(cores=1), _NEEDS),
        Trial(_FILES, 10_000, _replaced(cores=2, at_most=10), _NEEDS, grows=True),
        *(
            Trial(f"{{n}} files, {readers} readers", 100, _replaced(readers, 2, 10), _NEEDS)
            for readers in (20, 100)
        ),
    ),
    growth="growth, 100 to 10,000",
)
REKEY_NOTHING: Final = Case(
    "rekey-nothing",
    "secretsmith rekey, nothing to do; agenix -r does it all again",
    tuple(Trial("{n} files", n, _nothing, _NEEDS, grows=True) for n in (1, 10, 100, 1000, 10_000)),
    growth="growth, 100 to 10,000",
)

__all__ = ["PEER", "REKEY", "REKEY_NOTHING"]
