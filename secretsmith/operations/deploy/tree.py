"""What goes to a host: its manifest, and the encrypted files that the manifest names. Never a private key, never a value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest import Manifest, Scope, dump_manifest, live_path
from secretsmith.operations.build import make_manifest
from secretsmith.operations.buildcheck import BuildInputs, BuildReport, TryTemplate, check_build
from secretsmith.operations.deploy.remote.trees import MANIFEST, tree_place
from secretsmith.project import Project
from secretsmith.record import record, replace
from secretsmith.store.atomic import read_file
from secretsmith.store.limits import MAX_SECRET_BYTES
from secretsmith.store.paths import safe_relative

_FILES = "files"


@record
class Prepared:
    """A host's manifest with its sources in this checkout, and what ``build check`` says of it."""

    manifest: Manifest
    report: BuildReport

    @property
    def refused(self) -> bool:
        """Whether something would keep the host from a secret."""
        return any(finding.severity == "error" for finding in self.report.findings)


def prepare(project: Project, host: str, builder: str | None, try_template: TryTemplate) -> Prepared:
    """Make the manifest of ``host`` and look at it as ``build check`` does.

    Raises:
        NotFound, RefusedInput, SecretsmithError: as :func:`~secretsmith.operations.build.make_manifest`;
        RefusedInput UNSUPPORTED for a manifest of scope user.
    """
    manifest = make_manifest(project, host, builder)
    if manifest.scope is not Scope.SYSTEM:
        raise RefusedInput(
            Code.UNSUPPORTED,
            f"{host}: its manifest has scope user; only those of whole machines are deployed",
            hints=(f"secretsmith build manifest {host}",),
        )
    return Prepared(
        manifest, check_build(BuildInputs(manifest, project.registry, project.lock), try_template)
    )


def tree_files(project: Project, manifest: Manifest, number: int) -> Mapping[str, bytes]:
    """Return the files of the host's tree ``number`` by their path in it: the manifest, and what its secrets come from.

    Files of live values are not among them (:mod:`~secretsmith.operations.deploy.live`), only where the manifest wants them.

    Raises:
        RefusedInput: PATH_UNSAFE, SYMLINK, a source outside of this repository.
        NotFound, SecretsmithError: a file that cannot be read.
    """
    files: dict[str, bytes] = {}
    secrets = []
    for secret in manifest.secrets:
        if secret.live is not None:
            secrets.append(replace(secret, source=f"{tree_place(number)}/{live_path(secret.live)}"))
            continue
        inside = _inside(project, manifest.host, secret.source)
        path = f"{_FILES}/{inside}"
        if path not in files:
            files[path] = read_file(project.root / inside, MAX_SECRET_BYTES)
        secrets.append(replace(secret, source=f"{tree_place(number)}/{path}"))
    made = replace(manifest, secrets=tuple(secrets))
    return {**files, MANIFEST: dump_manifest(made)}


def _inside(project: Project, host: str, source: str) -> str:
    """Return where a source lies in the repository; a manifest must not make us send other files of this computer."""
    path = Path(source)
    if path.is_relative_to(project.root) and ".." not in path.parts:
        # Neither by way of a link to a folder elsewhere.
        return safe_relative(project.root, str(path.relative_to(project.root)))
    raise RefusedInput(
        Code.PATH_UNSAFE,
        f"the manifest of {host} takes {source}, which is not in this repository",
        hints=("files that a build system puts on the host itself need no deploy of ours",),
        path=source,
    )


__all__ = ["Prepared", "prepare", "tree_files"]
