"""``check``: what is wrong in a repository, as far as it can be said without a key.

Each finding about readers says what it rests on: the file itself, the lock, or that it is assumed. A file whose readers are
only assumed (anonymous recipients, and no lock entry that fits) is reported as such, not passed over.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from secretsmith.findings import Finding
from secretsmith.operations.buildexport import has_export
from secretsmith.operations.checkfiles import file_findings, loose_findings
from secretsmith.operations.checkregistry import git_findings, lock_findings, registry_findings
from secretsmith.operations.exportsops import stale_config
from secretsmith.operations.managed import managed_files
from secretsmith.project import Project
from secretsmith.store.clone import git_folder


def check(
    project: Project, paths: Sequence[str] = (), *, deep: bool = False, build: bool = False
) -> tuple[Finding, ...]:
    """Look at the secrets (or those of ``paths``) and, without ``paths``, at the registry, the lock, git and the builds.

    ``deep`` reads every file instead of trusting the stat index and the lock, and opens those that the identities here
    open, to check them as a whole. ``build`` asks the builders now what the hosts declare; else their last answer counts
    as long as what it was made from has not changed.
    """
    files = list(managed_files(project, paths))
    found = list(file_findings(project, files, deep=deep))
    if deep:
        # Here, not above: a check without keys must not pay for what opens files.
        from secretsmith.operations.deepcheck import deep_findings

        found.extend(deep_findings(project, files))
    if not paths:
        found.extend(loose_findings(project))
        found.extend(lock_findings(project))
        found.extend(registry_findings(project, files))
        if (stale := stale_config(project)) is not None:
            found.append(stale)
        found.extend(git_findings(project, files))
    if project.lock.links:
        # Here, not above: only who has links pays for what knows plugins.
        from secretsmith.operations.linking.looks import link_findings

        found.extend(link_findings(project, {*files} if paths else None))
    if build or (not paths and has_export(project)):
        # Here, not above: it comes with everything that knows plugins.
        from secretsmith.operations.checkbuild import build_findings

        found.extend(build_findings(project, files, evaluate=build, keys=build or deep, limited=bool(paths)))
    project.index.save()
    return tuple(found)


def folder_in_git(project: Project) -> str:
    """Return the registry's folder as seen from the top of the work tree, "" at the top and outside of git.

    What shows findings beside the files of a pull request counts from there.
    """
    found = git_folder(project.root)
    if found is None:
        return ""
    below = os.path.relpath(project.root.resolve(), found[0].resolve())
    return "" if below == "." else below


__all__ = ["check", "folder_in_git"]
