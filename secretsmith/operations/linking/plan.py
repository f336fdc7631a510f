"""What a sync would do: the links of the lock and what hosts declare, held against the sources, without a key."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from secretsmith.documents.format import Format, format_of
from secretsmith.errors import Code, NotFound, SecretsmithError
from secretsmith.operations.grantbuild import BuildGrants, LeftOut, asked_hosts, build_grants
from secretsmith.operations.linking.declared import DeclaredSources, declared_sources
from secretsmith.operations.linking.sources import Sources, parse_reference
from secretsmith.operations.locate import SUFFIX, similar_names
from secretsmith.operations.readers import quick_drift
from secretsmith.plugin.loader import Loader
from secretsmith.policy.buildrules import set_build_rules
from secretsmith.policy.lock import BY_BUILD, Link
from secretsmith.policy.registry import parse_registry
from secretsmith.project import REGISTRY_NAME, Project
from secretsmith.record import field, record, replace
from secretsmith.store.paths import relative

State = Literal[
    "fresh",  # as it was fetched
    "new",  # declared, and not there yet
    "missing",  # linked, and the file is gone
    "redirected",  # declared with another source than the one it was fetched from
    "changed",  # the entry is another one than the one that was fetched
    "readers",  # declared, and not encrypted to exactly those who want it
    "unknown",  # nobody can judge here
    "undeclared",  # linked by a build, and nobody declares it any more: it goes
    "unsourced",  # linked by a build, and declared without a source now: the link goes
]
FETCHED: Final[frozenset[State]] = frozenset({"new", "missing", "redirected", "changed", "readers"})
ENDED: Final[frozenset[State]] = frozenset({"undeclared", "unsourced"})


@record
class Linked:
    """One linked secret, or one that is to be. ``why`` says why nobody can judge it.

    ``named`` on the command line, it is fetched even if nobody can judge whether it changed.
    """

    path: str
    source: str
    by: str
    state: State
    why: str = ""
    named: bool = False

    @property
    def fetched(self) -> bool:
        """Whether a sync fetches its value."""
        return self.state in FETCHED or (self.state == "unknown" and self.named)

    @property
    def to_do(self) -> bool:
        """Whether a sync would do something."""
        return self.fetched or self.state in ENDED


@record
class SyncPlan:
    """What there is to do. ``project`` is the repository that it was made for, ``after`` has the registry as it is to be.

    ``grants`` is what becomes of the rules of the build, None without one. ``left`` are declarations that cannot be followed;
    ``idle`` are files of a build that nobody declares any more and that stay without ``prune``.
    """

    project: Project
    after: Project
    items: tuple[Linked, ...]
    sources: Sources = field(repr=False)
    grants: BuildGrants | None = None
    left: tuple[LeftOut, ...] = ()
    idle: tuple[str, ...] = ()

    def registry_text(self, without: Collection[str] = ()) -> str:
        """Return the registry as it is to be, with no rule of the build for the files ``without``."""
        if self.grants is None:
            return self.project.registry_text
        wanted = {path: names for path, names in self.grants.wanted.items() if path not in without}
        return set_build_rules(self.project.registry_text, wanted)

    @property
    def regranted(self) -> bool:
        """Whether rules change."""
        return self.after.registry_text != self.project.registry_text

    def __bool__(self) -> bool:
        return self.regranted or any(item.to_do for item in self.items)


def plan_sync(
    project: Project,
    words: Sequence[str] = (),
    *,
    cwd: Path | None = None,
    build: bool = False,
    prune: bool = False,
    loader: Loader | None = None,
) -> SyncPlan:
    """Say what a sync would do. Opens nothing, asks for nothing, and starts no program but those of builders.

    ``words`` limit it to files and folders, as typed in ``cwd``. ``build`` asks the builders what hosts declare, ``prune`` also
    ends what a sync of the build began and nobody declares any more.

    Raises:
        NotFound: a word that means no linked secret; with ``build``, no builder recognises the repository.
        RefusedInput, SecretsmithError: with ``build``, as :func:`secretsmith.operations.grantbuild.plan_build_grants`.
    """
    loader = loader or Loader()
    hosts = asked_hosts(project, loader=loader) if build or prune else ()
    found = declared_sources(project, hosts) if build or prune else None
    known = sorted({*project.lock.links, *(found.sources if found else ())})
    chosen, named = _chosen(project, known, words, cwd or Path.cwd())
    sources = Sources(project, loader)
    plan = SyncPlan(project, project, (), sources)
    if found is not None:
        of_build = {path for path in chosen if path in found.sources or (prune and path not in found.files)}
        grants = build_grants(project, hosts, of_build)
        left = (*found.left, *grants.left) if not words else ()
        plan = _regranted(replace(plan, grants=grants, left=left, idle=_idle(project, found, prune)))
    judge = _Judge(plan, found, prune)
    items = [
        replace(item, named=path in named and is_linkable(project, path))
        for path in chosen
        for item in judge.of(path)
    ]
    project.index.save()
    return replace(plan, items=tuple(items))


def _regranted(plan: SyncPlan) -> SyncPlan:
    """Return the plan with the registry as its grants make it."""
    text = plan.registry_text()
    registry = parse_registry(text, REGISTRY_NAME)
    return replace(plan, after=plan.project.changed(registry=registry, registry_text=text))


def _idle(project: Project, found: DeclaredSources, prune: bool) -> tuple[str, ...]:
    links = project.lock.links.items()
    return (
        () if prune else tuple(sorted(p for p, link in links if link.by == BY_BUILD and p not in found.files))
    )


@record
class _Judge:
    plan: SyncPlan
    found: DeclaredSources | None
    prune: bool

    def of(self, path: str) -> Iterator[Linked]:
        """Yield the state of ``path``; nothing for a declaration that no rule can follow."""
        declared = self.found.sources.get(path) if self.found else None
        link = self.plan.project.lock.links.get(path)
        if link is None:
            # Of a host that nobody registered, or outside of the secrets: said by the grants.
            if declared is not None and self.plan.grants is not None and path in self.plan.grants.wanted:
                yield Linked(path, declared, BY_BUILD, "new")
            return
        if is_linkable(self.plan.project, path):
            state, why = self._linked(path, link, declared)
        else:
            state, why = (
                "unknown",
                f"only .age files below {self.plan.project.registry.secrets}/ can be linked",
            )
        yield Linked(path, declared or link.source, link.by, state, why)

    def _linked(self, path: str, link: Link, declared: str | None) -> tuple[State, str]:
        if self.prune and self.found is not None and link.by == BY_BUILD:
            if path not in self.found.files:
                return "undeclared", ""
            if path not in self.found.sourced:
                return "unsourced", ""
        if refused := _refusal(declared or link.source):
            return "unknown", refused  # nobody is asked to approve what cannot be fetched
        if not os.path.lexists(self.plan.project.root / path):
            return "missing", ""
        if declared not in (None, link.source):
            return "redirected", ""
        look = self.plan.sources.look(link.source)
        if look.digest is None:
            drifts = declared is not None and self._drifts(path)
            return "unknown", f"{look.why}; its readers changed: secretsmith rekey" if drifts else look.why
        if look.digest != link.store_digest:
            return "changed", ""
        return ("readers" if declared is not None and self._drifts(path) else "fresh"), ""

    def _drifts(self, path: str) -> bool:
        try:
            return quick_drift(self.plan.after, path).drifts
        except SecretsmithError:
            return False  # damaged: said by check, and nothing to write over unasked


def _refusal(source: str) -> str:
    """Say why a text, which anybody may have written into the lock, is no reference; "" when it is one."""
    try:
        parse_reference(source)
    except SecretsmithError as error:
        return error.message
    return ""


def _chosen(
    project: Project, known: Sequence[str], words: Sequence[str], cwd: Path
) -> tuple[list[str], Collection[str]]:
    """Return which of ``known`` the words mean, and those that they name one by one."""
    if not words:
        return list(known), ()
    chosen: dict[str, None] = {}
    named: set[str] = set()
    for word in words:
        exact, below = meant(project, known, word, cwd)
        if not exact and not below:
            hints = [f"did you mean {name}?" for name in similar_names(word, known, project.registry.secrets)]
            raise NotFound(
                Code.NOT_FOUND, f"{word}: no linked secret there", hints=(*hints, "secretsmith sync --plan")
            )
        chosen.update(dict.fromkeys((*exact, *below)))
        named.update(exact)
    return sorted(chosen), named


def is_linkable(project: Project, path: str) -> bool:
    """Say whether a sync may write or remove ``path``: whoever may push to the lock could name any file of the repository."""
    folder = project.registry.secrets
    try:
        if relative(path) != path:
            return False
    except SecretsmithError:
        return False
    return format_of(path) is Format.AGE and (folder == "." or path.startswith(f"{folder}/"))


def meant(project: Project, known: Collection[str], word: str, cwd: Path) -> tuple[list[str], list[str]]:
    """Return the paths of ``known`` that ``word`` names, with or without suffix, and those below it if it is a folder.

    It is looked for from ``cwd``, from the root and below the secrets, in this order; the files themselves may be gone.
    """
    root = os.path.realpath(project.root)
    starts = [os.path.join(os.path.realpath(cwd), word)]
    if not word.startswith(("./", "../", "/")):
        starts += [os.path.join(root, word), os.path.join(root, project.registry.secrets, word)]
    for start in starts:
        place = os.path.relpath(os.path.normpath(start), root)
        exact = [path for path in (place, place + SUFFIX) if path in known]
        below = [path for path in known if place == "." or path.startswith(f"{place}/")]
        if exact or below:
            return exact, below
    return [], []


__all__ = ["ENDED", "FETCHED", "Linked", "State", "SyncPlan", "is_linkable", "meant", "plan_sync"]
