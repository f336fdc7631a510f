"""Sops documents to other readers: ``secretsmith rekey`` and ``rotate``, ``sops updatekeys`` and ``sops rotate``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from benchmarks.cases.model import Case, Setup, Trial
from benchmarks.fleet import Fleet, Kept
from benchmarks.measure import Command
from benchmarks.workshop import Workshop
from secretsmith.policy.lock import LOCK_NAME

ONE_PROCESS: Final = "sops updatekeys -y, one process"
ONE_A_FILE: Final = "sops updatekeys -y, one a file"
BOTH: Final = "sops updatekeys and rotate, one a file"
ROTATE: Final = "sops rotate -i, one a file"
_SCRIPTS: Final[Mapping[str, str]] = {
    ONE_PROCESS: 'exec sops updatekeys -y "$@"',
    ONE_A_FILE: 'for file; do sops updatekeys -y "$file"; done',
    BOTH: 'for file; do sops updatekeys -y "$file"; sops rotate -i "$file"; done',
    ROTATE: 'for file; do sops rotate -i "$file"; done',
}
_PEER_AT_MOST: Final = 100
"""One process a file is linear by nature: so many are measured."""


class _Peer:
    """Copies of the documents in a folder with a ``.sops.yaml``."""

    def __init__(self, fleet: Fleet, label: str) -> None:
        self.fleet, self.label = fleet, label
        self.paths = fleet.paths if label == ONE_PROCESS else fleet.paths[:_PEER_AT_MOST]
        self.folder = fleet.folder / f"sops{list(_SCRIPTS).index(label)}"
        for path in self.paths:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes((fleet.root / path).read_bytes())
        self.kept = Kept(self.folder, self.paths)
        self.configure()

    def configure(self, joined: int = 0) -> None:
        """Write the readers as they are in the registry now."""
        recipients = ",".join(key.public.derived for key in self.fleet.current(joined))
        (self.folder / ".sops.yaml").write_text(f"creation_rules:\n  - age: '{recipients}'\n")

    def command(self, reset: Callable[[], None], *, changes: bool = True) -> Command:
        """Give the peer's work on all copies."""
        return Command(
            ["bash", "-ec", _SCRIPTS[self.label], "sops", *self.paths],
            self.fleet.env,
            self.folder,
            reset=reset,
            check=self.kept.require_changed if changes else lambda: None,
            share=len(self.paths) / len(self.fleet.paths),
        )


def _added(shop: Workshop, n: int) -> Setup:
    """One more host in the rule. It cannot be taken back by doing it again, so the files are written back each time."""
    fleet = Fleet(shop, n, suffix="yaml")
    kept = Kept(fleet.root, fleet.paths)
    known = Kept(fleet.root, [LOCK_NAME])
    fleet.write_registry(joined=1)

    def reset() -> None:
        kept.restore()
        known.restore()
        fleet.learn()

    ours = replace(fleet.command("rekey", "--accept", "all"), reset=reset, check=kept.require_changed)
    peers = {}
    for label in (ONE_PROCESS, ONE_A_FILE):
        peer = _Peer(fleet, label)
        peer.configure(joined=1)
        peers[label] = peer.command(peer.kept.restore)
    return Setup(ours, peers)


def _replaced(shop: Workshop, n: int) -> Setup:
    """Another key of a host: a reader less, so a new data key for each document. Each run takes back the one before."""
    fleet = Fleet(shop, n, suffix="yaml")
    ours = replace(
        fleet.command("rekey", "--accept", "all"),
        reset=fleet.replace_host,
        check=Kept(fleet.root, fleet.paths).require_changed,
    )
    peer = _Peer(fleet, BOTH)
    return Setup(ours, {BOTH: peer.command(peer.configure)})  # after ours, so the registry has changed


def _rotated(shop: Workshop, n: int) -> Setup:
    fleet = Fleet(shop, n, suffix="yaml")
    ours = replace(fleet.command("rotate", *fleet.paths), check=Kept(fleet.root, fleet.paths).require_changed)
    return Setup(ours, {ROTATE: _Peer(fleet, ROTATE).command(lambda: None)})


def _nothing(shop: Workshop, n: int) -> Setup:
    fleet = Fleet(shop, n, suffix="yaml")
    peer = _Peer(fleet, ONE_PROCESS)
    return Setup(fleet.command("rekey"), {ONE_PROCESS: peer.command(lambda: None, changes=False)})


def _needs(*labels: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(labels, ("sops", "bash"))


_SIZES: Final = (10, 100, 1000)

SOPS_ADD: Final = Case(
    "sops-add",
    "secretsmith rekey that adds a sixth reader to sops documents of 10 values",
    tuple(Trial("{n} documents", n, _added, _needs(ONE_PROCESS, ONE_A_FILE)) for n in _SIZES),
)
SOPS_REPLACE: Final = Case(
    "sops-replace",
    "secretsmith rekey that replaces a host in sops documents, data keys included",
    tuple(Trial("{n} documents", n, _replaced, _needs(BOTH)) for n in _SIZES),
)
SOPS_ROTATE: Final = Case(
    "sops-rotate",
    "secretsmith rotate of sops documents",
    tuple(Trial("{n} documents", n, _rotated, _needs(ROTATE)) for n in (1, 10, 100)),
)
SOPS_NOTHING: Final = Case(
    "sops-nothing",
    "secretsmith rekey of sops documents, nothing to do",
    tuple(Trial("{n} documents", n, _nothing, _needs(ONE_PROCESS)) for n in _SIZES),
)

__all__ = [
    "BOTH",
    "ONE_A_FILE",
    "ONE_PROCESS",
    "ROTATE",
    "SOPS_ADD",
    "SOPS_NOTHING",
    "SOPS_REPLACE",
    "SOPS_ROTATE",
]
