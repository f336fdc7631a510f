"""Findings as SARIF 2.1.0 (OASIS), which code scanning takes.

Sections in comments are those of the standard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from secretsmith import __version__
from secretsmith.cli.render import PROGRAM, printable
from secretsmith.errors import Code
from secretsmith.findings import Finding
from secretsmith.project import REGISTRY_NAME

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}

TITLES: Final[Mapping[str, str]] = {
    Code.DRIFT: "Who reads a file differs from what the registry says",
    Code.FORMER_KEY: "A key that is no longer in use still opens a file",
    Code.RECIPIENT_EXTRA: "A file is encrypted to a key that the registry never named",
    Code.RECIPIENT_MISMATCH: "A document lies about whom it is encrypted to",
    Code.NO_RULE: "No rule says who reads a file",
    Code.PLAINTEXT: "A secret is not encrypted",
    Code.ASSUMED: "Who reads a file is only assumed",
    Code.UNSETTLED: "What the lock says of a file is only assumed",
    Code.LOCK_MISSING: "The lock does not know a file",
    Code.LOCK_DIGEST: "A file was changed outside of secretsmith",
    Code.LOCK_STALE: "The lock knows a file that is gone",
    Code.KEY_EXPOSED: "Somebody who lost access knows a data key",
    Code.KEY_GROUPS: "A document has key groups that no rule describes",
    Code.KEY_SERVICE: "A document is also encrypted under a key service",
    Code.KEPT_TEXT: "The text of a failed edit is kept",
    Code.DEBT: "A value is known to somebody who lost access",
    Code.UNTRACKED: "Git does not track a file",
    Code.IGNORED: "Git ignores a file",
    Code.REG_DUP: "A key stands twice in the registry",
    Code.SINGLE_ADMIN: "There is one admin key",
    Code.PENDING: "A host has no key yet",
    Code.UNUSED_RULE: "A rule names no file",
    Code.KEYRING_SECRET: "The registry gives programs a secret that does not exist",
    Code.SOPS_CONFIG: "The .sops.yaml does not say what the registry says",
    Code.REG_UNKNOWN: "A build declares secrets for a host that the registry does not have",
    Code.NOT_FOUND: "A build declares a secret that does not exist",
    Code.NOT_GRANTED: "A build declares a secret that the host may not read",
    Code.UNDECLARED: "A host may read a secret that its build does not declare",
    Code.LINK_STALE: "The source of a value changed since it was fetched",
    Code.LINK_UNKNOWN: "Whether the source of a value changed cannot be judged",
    Code.BUILD_STALE: "What builds declare was not compared",
    Code.NO_IDENTITY: "Files that no identity here opens were not looked into",
}
"""What a code stands for, where it does not speak of a damaged file."""


def sarif_log(findings: Sequence[Finding], folder: str) -> dict[str, Any]:
    """Return the log of one run; ``folder`` is the registry's as seen from the top of the work tree."""
    codes = list(dict.fromkeys(finding.code for finding in findings))
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": PROGRAM,
                        "semanticVersion": __version__,
                        "rules": [_rule(code, findings) for code in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"SRCROOT": {"description": {"text": "the top of the work tree"}}},
                "results": [_result(finding, codes.index(finding.code), folder) for finding in findings],
            }
        ],
    }


def _rule(code: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """3.49, reportingDescriptor."""
    gravest = min((finding.severity for finding in findings if finding.code == code), key=list(_LEVELS).index)
    return {
        "id": code,
        "shortDescription": {"text": TITLES.get(code, "A file is damaged or cannot be read")},
        "defaultConfiguration": {"level": _LEVELS[gravest]},
    }


def _result(finding: Finding, index: int, folder: str) -> dict[str, Any]:
    """3.27, result."""
    text = f"{finding.path}: {finding.message.removeprefix(f'{finding.path}: ')}".removeprefix(": ")
    mend = f"\n{printable(finding.hint)}" if finding.hint else ""
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": printable(text) + mend},
        # Without it, code scanning takes two findings of one file for the same. Not the line, so that moving is no change.
        "partialFingerprints": {"secretsmith/v1": _fingerprint(finding)},
    }
    # Code scanning shows nothing that is nowhere.
    path = finding.path or REGISTRY_NAME
    place: dict[str, Any] = {
        "artifactLocation": {"uri": quote(f"{folder}/{path}" if folder else path), "uriBaseId": "SRCROOT"}
    }
    if finding.line:
        place["region"] = {"startLine": finding.line}
    result["locations"] = [{"physicalLocation": place}]
    properties = {name: value for name, value in (("basis", finding.basis), ("hint", finding.hint)) if value}
    if properties:
        result["properties"] = properties
    return result


def _fingerprint(finding: Finding) -> str:
    told = f"{finding.code}\0{finding.path}\0{finding.message}"
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()


__all__ = ["SCHEMA", "TITLES", "sarif_log"]
