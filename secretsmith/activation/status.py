"""``status.json``: what every secret on this host is, for people and monitoring; names and reasons, never a value."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from secretsmith.activation.accounts import Caller
from secretsmith.activation.folders import failed, read_small, replace_file, safe_folder
from secretsmith.activation.plan import Decision
from secretsmith.activation.report import Report
from secretsmith.activation.state import Moment
from secretsmith.errors import Code, ExitCode, SecretsmithError
from secretsmith.manifest import Manifest, ManifestSecret, Phase
from secretsmith.record import record

VERSION = 1
_MAX_BYTES = 32 * 1024 * 1024


@record
class Known:
    """The status file as it is: the whole JSON, and the generation that it says is live for each phase."""

    tree: Mapping[str, Any]
    generations: Mapping[str, int]

    def says(self, manifest: Manifest, source: str | None, phase: Phase, live: int | None) -> bool:
        """Whether it tells of ``live``, and that of this manifest: another one's may have the same number."""
        return (
            self.generations.get(str(phase)) == live
            and self.phases_of(manifest).keys() >= {str(phase)}
            and (self.tree.get("host"), self.tree.get("manifest")) == (manifest.host, source)
        )

    def phases_of(self, manifest: Manifest) -> dict[str, Any]:
        """Return what it says of the phases that lie where ``manifest`` has them."""
        places = {str(phase): manifest.for_phase(phase).generations for phase in Phase}
        phases = self.tree["phases"].items()
        return {name: told for name, told in phases if told.get("generations") == places.get(name, "")}


def load_status(path: str, caller: Caller) -> Known | None:
    """Read the status file; None if there is none.

    Raises:
        SecretsmithError: STATE, it is damaged and is to be made anew; PATH_UNSAFE. OSError for what must not pass for a
            missing file.
    """
    parent, _, name = path.rpartition("/")
    try:
        with safe_folder(parent or "/", caller.trusted) as folder:
            data = read_small(folder.fd, name, _MAX_BYTES)
    except SecretsmithError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return None
    if data is None:
        return None
    try:
        tree = json.loads(data)
        if tree["version"] != VERSION or not isinstance(tree["secrets"], dict):
            raise ValueError
        if not all(isinstance(found["phase"], str) for found in tree["secrets"].values()):
            raise TypeError
        return Known(tree, {name: int(found["generation"]) for name, found in tree["phases"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        text = f"{path} was damaged and is made anew by activation"
        raise SecretsmithError(Code.STATE, text, path=path) from None


def write_status(
    path: str,
    manifest: Manifest,
    source: str | None,
    reports: Sequence[Report],
    exit_code: ExitCode,
    before: Known | None,
    caller: Caller,
    now: Moment,
) -> None:
    """Write the status file, mode 0600, by one rename. Phases that this run did not change stay as they were ``before``.

    ``source`` is the path of the manifest, where it has one.

    Raises:
        SecretsmithError: PATH_UNSAFE, ACCESS, NOSPC …
    """
    done = {str(report.phase) for report in reports if not report.nothing_done}
    phases = before.phases_of(manifest) if before is not None else {}
    kept = {name: phase for name, phase in phases.items() if name not in done}
    secrets = before.tree["secrets"] if before is not None else {}
    tree = {
        "version": VERSION,
        "host": manifest.host,
        "scope": str(manifest.scope),
        "manifest": source,
        "time": _date(now),
        "boot": round(now.boot, 3),
        "exit_code": int(exit_code),
        "phases": kept | {str(report.phase): _phase(report) for report in reports if not report.nothing_done},
        "secrets": {name: found for name, found in secrets.items() if found["phase"] in kept}
        | {
            decision.entry.name: _secret(report, decision)
            for report in reports
            for decision in report.decisions
        },
    }
    parent, _, name = path.rpartition("/")
    try:
        with safe_folder(parent or "/", caller.trusted, create=True) as folder:
            replace_file(folder.fd, name, (json.dumps(tree, indent=2) + "\n").encode(), mode=0o600)
    except OSError as error:
        raise failed(error, path) from None


def _phase(report: Report) -> dict[str, object]:
    found: dict[str, object] = {
        "generation": report.generation,
        "directory": report.manifest.directory,
        "generations": report.manifest.generations,
    }
    problems = [
        {
            "code": str(problem.error.code),
            "message": problem.error.message,
            "hints": list(problem.error.hints),
        }
        for problem in report.problems
        if problem.name is None
    ]
    return found | ({"problems": problems} if problems else {})


def _secret(report: Report, decision: Decision) -> dict[str, object]:
    entry, file = decision.entry, decision.file
    kind = {"id": entry.id} if isinstance(entry, ManifestSecret) else {"template": True}
    found: dict[str, object] = {"state": str(decision.state), "phase": str(report.phase), **kind}
    if file is not None:
        found["path"] = entry.path or report.manifest.place_of(entry)
        found["uid"], found["gid"], found["mode"] = file.ownership.uid, file.ownership.gid, f"{file.mode:04o}"
    if entry.plaintext_on_disk:
        found["plaintext_on_disk"] = True
    if decision.stale_since is not None:
        found["since"] = _date(decision.stale_since)
    if decision.failure is not None:
        found["code"], found["message"] = str(decision.failure.code), decision.failure.message
    return found


def _date(moment: Moment) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment.wall))


def phases_of(known: Known) -> Iterator[tuple[Phase, int]]:
    """Give the phases that a status file knows, with their live generations."""
    for name, number in known.generations.items():
        if name in set(Phase):
            yield Phase(name), number


__all__ = ["Known", "load_status", "phases_of", "write_status"]
