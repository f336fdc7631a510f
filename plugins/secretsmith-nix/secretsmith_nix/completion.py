"""A manifest as Nix made it, completed with what the registry says now: the host's key, readers, and who is who."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.manifest import Manifest, parse_manifest
from secretsmith.plugin.api import PluginContext, Principal, Readers

_DEFAULTS: Mapping[str, object] = {
    "version": 1,
    "directory": "/run/secrets",
    "generations": "/run/secrets.d",
    "identities": ["/etc/ssh/ssh_host_ed25519_key"],
}


def completed(context: PluginContext, host: str, given: Mapping[str, Any], folder: str) -> Manifest:
    """Return the manifest of ``host`` whose sources lie below ``folder``.

    Raises:
        NotFound: the registry has no such host, or a file is not in the repository.
        RefusedInput: MANIFEST, no host would take it.
    """
    registered = next((who for who in context.principals() if who.kind == "host" and who.name == host), None)
    if registered is None:
        raise NotFound(
            Code.NOT_FOUND, f"the registry has no host {host}", hints=(f"secretsmith host add {host} --scan",)
        )
    secrets = given.get("secrets", [])
    if not isinstance(secrets, list) or not all(
        isinstance(each, dict) and "name" in each for each in secrets
    ):
        raise RefusedInput(Code.MANIFEST, f"host {host}: secrets is no list of sets with names")
    readers: dict[str, Readers] = {}
    placed = [_secret(context, host, secret, folder, readers) for secret in secrets]
    tree = {**_DEFAULTS, **given, "host": host, "secrets": placed}
    # What Nix read of the registry and the lock may be an older state of them.
    tree.pop("host_key", None)
    if registered.keys:
        tree["host_key"] = registered.keys[0]
    tree["principals"] = _principals(context, registered, readers.values())
    try:
        return parse_manifest(json.dumps(tree).encode())
    except RefusedInput as error:
        raise RefusedInput(error.code, f"host {host}: {error.message}", hints=error.hints) from None


def _secret(
    context: PluginContext,
    host: str,
    given: Mapping[str, Any],
    folder: str,
    readers: dict[str, Readers],
) -> dict[str, Any]:
    file = given.get("id", given["name"])
    if not isinstance(file, str):
        raise RefusedInput(Code.MANIFEST, f"host {host}: the id of secret {given['name']!a} is no text")
    if file.startswith("/") or "live" in given:
        return dict(
            given
        )  # a file that lies on the host alone, or that a deploy brings; nothing is known of it here
    if file not in readers:
        if file not in context.list_files(str(PurePosixPath(file).parent)):
            raise NotFound(
                Code.NOT_FOUND,
                f"host {host}: there is no file {file} for secret {given['name']}",
                hints=(f"secretsmith set {file}",),
                path=file,
            )
        readers[file] = context.readers(file)
    known = readers[file]
    # What the rules want, so that a host that lost access keeps no old value; the lock where no rule speaks.
    who = known.present if known.wanted is None else known.wanted
    entry = {**given, "id": file, "source": f"{folder}/{file}"}
    entry.pop("readers", None)
    return entry if who is None else {**entry, "readers": sorted(who)}


def _principals(
    context: PluginContext, host: Principal, readers: Iterable[Readers]
) -> dict[str, dict[str, str]]:
    """Name every key that a host may meet in the headers: wanted and present readers, and its own former keys."""
    keys = {*host.keys, *host.former}
    for known in readers:
        keys |= {*(known.wanted or ()), *(known.present or ())}
    found: dict[str, dict[str, str]] = {}
    for fingerprint in sorted(keys):
        if (key := context.key(fingerprint)) is not None:
            forms = {"ssh_tag": key.ssh_tag, "recipient": key.recipient}
            named = {form: text for form, text in forms.items() if text}
            found[fingerprint] = {"name": key.principal, **named}
    return found


__all__ = ["completed"]
