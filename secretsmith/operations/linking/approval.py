"""The question that stands between a repository and a person's stores: may these keys have this entry?"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence

from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import Code, IntegrityFailure
from secretsmith.project import Project
from secretsmith.store.approved import ApprovedSources

_SOME = 3

Pair = tuple[str, Mapping[str, PublicKey]]
"""A reference, and the keys (by fingerprint) that will read what is fetched for it."""


def unapproved(approved: ApprovedSources, pairs: Iterable[Pair]) -> dict[str, tuple[str, ...]]:
    """Return reference → keys that may not have it yet; narrowed readers need no new approval."""
    found: dict[str, set[str]] = {}
    for reference, keys in pairs:
        if missing := approved.missing(reference, keys):
            found.setdefault(reference, set()).update(missing)
    return {reference: tuple(sorted(keys)) for reference, keys in sorted(found.items())}


def require_approval(
    project: Project, pairs: Collection[Pair], given: Sequence[str], *, look: str = "--plan"
) -> ApprovedSources:
    """Make sure that all ``pairs`` are approved on this computer; what is approved now is to be saved by the caller.

    ``look`` is the option with which the command shows what it would fetch. ``given`` is what ``--approve`` gave: references,
    or "all". Whatever it leaves is asked on a terminal, once for all entries with the same new readers.

    Raises:
        IntegrityFailure: SOURCE_APPROVAL, with the command, when there is nobody to ask or the answer is no.
    """
    approved = ApprovedSources.load(project.environ, project.root)
    open_ones = unapproved(approved, pairs)
    asked = {} if "all" in given else {ref: keys for ref, keys in open_ones.items() if ref not in given}
    if asked and not (project.interaction.available and _agreed(project, asked)):
        raise _refused(project, asked, look)
    for reference, keys in open_ones.items():
        approved.add(reference, keys)
    return approved


def approve_pair(project: Project, reference: str, keys: Iterable[str]) -> None:
    """Record a pair that the person named on the command line."""
    approved = ApprovedSources.load(project.environ, project.root)
    approved.add(reference, keys)
    approved.save()


def _agreed(project: Project, asked: Mapping[str, tuple[str, ...]]) -> bool:
    for keys, references in _alike(asked).items():
        question = f"let {_named(project, keys)} read {', '.join(references)}?"
        flag = " ".join(_option(reference) for reference in references)
        if not project.interaction.confirm(question, flag=flag):
            return False
    return True


def _alike(asked: Mapping[str, tuple[str, ...]]) -> dict[tuple[str, ...], list[str]]:
    """Return readers → references."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for reference, keys in asked.items():
        alike.setdefault(keys, []).append(reference)
    return alike


def _refused(project: Project, asked: Mapping[str, tuple[str, ...]], look: str) -> IntegrityFailure:
    alike = _alike(asked)
    (keys, references), *rest = alike.items()
    others = f", and {len(asked) - 1} more" if len(asked) > 1 else ""
    # No option without the readers that it lets have the entry: whoever copies it is to know.
    further = [f"and if {_named(project, other)} may read it: {_options(refs)}" for other, refs in rest]
    shown = sum(len(refs[:_SOME]) for refs in [*alike.values()][:_SOME])
    all_of_them = ("or approve all that this repository wants: --approve all",)
    return IntegrityFailure(
        Code.SOURCE_APPROVAL,
        f"nobody approved on this computer that {_named(project, keys)} may read {references[0]}{others}; nothing was fetched",
        hints=(
            f"if that is meant, add {_options(references)}",
            *further[: _SOME - 1],
            *(all_of_them if len(asked) > shown else ()),
            f"the same with {look} shows what is wanted",
        ),
    )


def _options(references: Sequence[str]) -> str:
    return " ".join(_option(each) for each in references[:_SOME])


def _option(reference: str) -> str:
    return f"--approve {shlex.quote(reference)}"


def _named(project: Project, keys: Sequence[str]) -> str:
    # With fingerprints: the names are the repository's, and it could call any key by the name of a host that is trusted.
    return ", ".join(f"{project.name_of(key)} ({key})" for key in keys) or "nobody yet"


__all__ = ["Pair", "approve_pair", "require_approval", "unapproved"]
