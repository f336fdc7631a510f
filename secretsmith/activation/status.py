"""``status.json``: what every secret on this host is, for people and monitoring; names and reasons, never a value."""

from __future__ import annotations

import json
import time

from secretsmith.activation.accounts import Caller
from secretsmith.activation.folders import failed, replace_file, safe_folder
from secretsmith.activation.plan import Decision
from secretsmith.activation.report import Report
from secretsmith.activation.state import Moment
from secretsmith.manifest import Manifest

STATUS_FILE = "/run/secretsmith/status.json"


def write_status(path: str, manifest: Manifest, report: Report, caller: Caller, now: Moment) -> None:
    """Write the status file, mode 0600, by one rename.

    Raises:
        SecretsmithError: PATH_UNSAFE, ACCESS, NOSPC …
    """
    tree = {
        "version": 1,
        "host": manifest.host,
        "generation": report.generation,
        "directory": manifest.directory,
        "time": _date(now),
        "exit_code": int(report.exit_code),
        "secrets": {decision.secret.name: _secret(manifest, decision) for decision in report.decisions},
    }
    parent, _, name = path.rpartition("/")
    try:
        with safe_folder(parent or "/", caller.trusted, create=True) as folder:
            replace_file(folder.fd, name, (json.dumps(tree, indent=2) + "\n").encode(), mode=0o600)
    except OSError as error:
        raise failed(error, path) from None


def _secret(manifest: Manifest, decision: Decision) -> dict[str, object]:
    secret, file = decision.secret, decision.file
    found: dict[str, object] = {"state": str(decision.state), "id": secret.id}
    if file is not None:
        found["path"] = secret.path or manifest.place_of(secret)
        found["uid"], found["gid"], found["mode"] = file.ownership.uid, file.ownership.gid, f"{file.mode:04o}"
    if decision.stale_since is not None:
        found["since"] = _date(decision.stale_since)
    if decision.failure is not None:
        found["code"], found["message"] = str(decision.failure.code), decision.failure.message
    return found


def _date(moment: Moment) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment.wall))


__all__ = ["STATUS_FILE", "write_status"]
