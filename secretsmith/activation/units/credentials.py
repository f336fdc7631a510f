"""Credentials of units: the drop-ins that have systemd hand a secret to one service alone (systemd.exec(5), "Credentials")."""

from __future__ import annotations

from collections.abc import Iterator

from secretsmith.activation.scope import CREDSTORE_NAME
from secretsmith.activation.units.quoting import whole
from secretsmith.activation.units.sandbox import STATE_FOLDER
from secretsmith.manifest import Manifest, ManifestEntry, Phase

ACTIVATING = "secretsmith-activate.service"
CREDSTORE = f"/var/lib/{STATE_FOLDER}/{CREDSTORE_NAME}"
DROPIN = "50-secretsmith.conf"
_SECTIONS = {"service": "Service", "socket": "Socket", "mount": "Mount"}


def credential_dropins(manifest: Manifest, header: str) -> dict[str, str]:
    """Return ``UNIT.d/50-secretsmith.conf`` → text, which begins with ``header``, for each unit that is handed a credential.

    Raises:
        RefusedInput: UNITS, a path cannot be written into a unit.
    """
    settings: dict[str, list[str]] = {}
    for place, entry in _placed(manifest):
        for text in entry.credentials:
            unit, _, name = text.rpartition(":")
            settings.setdefault(unit, []).append(_setting(manifest, name, text, place))
    return {
        f"{unit}.d/{DROPIN}": _text(header, _SECTIONS[unit.rpartition(".")[2]], sorted(lines))
        for unit, lines in sorted(settings.items())
    }


def _placed(manifest: Manifest) -> Iterator[tuple[str, ManifestEntry]]:
    """Give each entry with where it is read: through the live link, which is there whatever becomes of a custom path."""
    for view in map(manifest.for_phase, Phase):
        for entry in view.entries():
            yield view.place_of(entry), entry


def _setting(manifest: Manifest, name: str, text: str, place: str) -> str:
    if manifest.credential_key is None:
        return f"LoadCredential={name}:{whole(place, manifest.scope)}"
    return f"LoadCredentialEncrypted={name}:{whole(f'{CREDSTORE}/{text}')}"


def _text(header: str, section: str, lines: list[str]) -> str:
    # Wanted, not required: where the value is missing systemd says so itself, with the name of the credential.
    unit = f"[Unit]\nWants={ACTIVATING}\nAfter={ACTIVATING}\n"
    return f"{header}\n{unit}\n[{section}]\n" + "".join(f"{line}\n" for line in lines)


__all__ = ["ACTIVATING", "CREDSTORE", "DROPIN", "credential_dropins"]
