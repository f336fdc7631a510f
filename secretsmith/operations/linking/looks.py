"""What ``check`` says of links: whether their entries changed, as far as it can be said without a key and without a program."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator

from secretsmith.errors import Code
from secretsmith.findings import Finding
from secretsmith.operations.linking.sources import Sources
from secretsmith.plugin.loader import Loader
from secretsmith.project import Project


def link_findings(
    project: Project, files: Collection[str] | None = None, *, loader: Loader | None = None
) -> Iterator[Finding]:
    """Yield a finding for each link (of ``files``, if given) whose entry is not the one that was fetched, or cannot be judged.

    Entries that are not here are no staleness: this may be another computer, or CI.
    """
    sources = Sources(project, loader)
    for path, link in sorted(project.lock.links.items()):
        if files is not None and path not in files:
            continue
        look, scheme = sources.look(link.source), link.source.partition(":")[0]
        if look.digest is None:
            yield Finding(
                Code.LINK_UNKNOWN,
                "info",
                path,
                f"is linked, and cannot be judged: {look.why}",
                "where the store is: secretsmith sync --plan",
            )
        elif look.digest != link.store_digest:
            yield Finding(
                Code.LINK_STALE,
                "warning",
                path,
                f"is stale: its entry in {scheme} changed since it was fetched",
                f"secretsmith sync {shlex.quote(path)}",
            )


__all__ = ["link_findings"]
