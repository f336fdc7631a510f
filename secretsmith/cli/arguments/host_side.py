"""Parameters of the commands that look at the host they run on."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, option, parameters

_JSON = "Print JSON (docs/reference/schemas/{}.schema.json)."
_MANIFEST = "The manifest; without it, the one that was last activated here."
_STATUS = "The status file, where activation was told to write it elsewhere than usual."


@parameters
class StatusParameters:
    """``secretsmith status [MANIFEST]``."""

    manifest: str | None = argument("MANIFEST", _MANIFEST, default=None)
    status: str | None = option("--status", "FILE", _STATUS, default=None)
    paths: str | None = option(
        "--paths",
        "FILE",
        "The record of custom paths, where activation was told to write it elsewhere than usual.",
        default=None,
    )
    json: bool = flag("--json", _JSON.format("status"), default=False)


@parameters
class DoctorParameters:
    """``secretsmith doctor [MANIFEST]``."""

    manifest: str | None = argument("MANIFEST", _MANIFEST, default=None)
    status: str | None = option("--status", "FILE", _STATUS, default=None)
    json: bool = flag("--json", _JSON.format("doctor"), default=False)


__all__ = ["DoctorParameters", "StatusParameters"]
