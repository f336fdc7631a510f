"""Who can open what this host cannot, said so that a person knows what to do: from headers and the manifest's names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote

from secretsmith.activation.hostkeys import HostKeys
from secretsmith.crypto.agefile import inspect_age
from secretsmith.crypto.evidence import Evidence, evidence_of
from secretsmith.crypto.publickey import KeyKind
from secretsmith.errors import CannotDecrypt, Code, SecretsmithError
from secretsmith.hostkeytext import (
    CHANGED,
    files_behind,
    key_here,
    on_workstation,
    registered_key,
    reprovision,
)
from secretsmith.manifest import Manifest, ManifestSecret


def not_a_reader(manifest: Manifest, secret: ManifestSecret, data: bytes) -> CannotDecrypt:
    """Describe one file that is for others (``data`` is that file)."""
    return CannotDecrypt(
        Code.NO_IDENTITY,
        f"{secret.source} is not encrypted for this host; it is for: {_readers(manifest, [data])}",
        hints=(on_workstation(f"secretsmith explain {quote(secret.id)} {manifest.host}"),),
        path=secret.source,
    )


def nothing_opens(
    manifest: Manifest, keys: HostKeys, files: Sequence[bytes], now: float, results: Sequence[str]
) -> CannotDecrypt:
    """Describe a host whose keys open none of its secrets (``files``): most often it was reinstalled.

    ``now`` is in seconds since 1970; ``results`` are lines on what became of the secrets. The last hint is the command
    that mends it.
    """
    ours = {key.identity.fingerprint for key in keys.keys}
    facts = [key_here(key.identity.fingerprint, key.path, key.written, now) for key in keys.keys]
    facts.append(f"the secrets are encrypted for: {_readers(manifest, files)}")
    if wanted := _wanted_readers(manifest):
        facts.append(f"by the manifest they are for: {wanted}")
    if manifest.host_key in ours:
        facts.append(files_behind(manifest.host))
        command = "secretsmith rekey"
    else:
        if manifest.host_key is not None:
            facts.append(registered_key(manifest.host, [manifest.host_key]))
        facts.append(CHANGED)
        command = reprovision(manifest.host, _ssh_line(keys))
    facts += [*results, on_workstation(command)]
    count = f"any of its {len(files)} secret files" if len(files) > 1 else "its secret file"
    return CannotDecrypt(
        Code.NO_IDENTITY, f"{manifest.host}: this host's key does not open {count}", hints=facts
    )


def no_key_at_all(
    manifest: Manifest, problems: Iterable[SecretsmithError], results: Sequence[str]
) -> CannotDecrypt:
    """Describe a host that has no usable key: missing, unreadable and unsafe files each say so."""
    lines = [line for problem in problems for line in (problem.message, *problem.hints)]
    lines += results
    return CannotDecrypt(
        Code.NO_IDENTITY, f"{manifest.host}: this host has no key to open secrets with", hints=lines
    )


def _ssh_line(keys: HostKeys) -> str | None:
    for key in keys.keys:
        public = key.identity.public
        if public is not None and public.kind is KeyKind.ED25519:
            return public.text
    return None


def _readers(manifest: Manifest, files: Iterable[bytes]) -> str:
    """List the readers of files: by ssh tag where the header has one, else only how many there are at most."""
    names: dict[str, None] = {}
    anonymous = others = 0
    for data in files:
        evidence = _evidence(data)
        for item in evidence:
            if item.tag is not None:
                names |= dict.fromkeys(_named(manifest, item.tag))
        anonymous = max(anonymous, sum(item.kind == "x25519" for item in evidence))
        others = max(others, sum(item.tag is None and item.kind != "x25519" for item in evidence))
    found = list(names)
    if anonymous:
        plural = "keys" if anonymous > 1 else "key"
        found.append(f"{anonymous} anonymous age1… {plural} (such stanzas do not say whose)")
    if others:
        found.append(f"{others} of another kind")
    return ", ".join(found) or "nobody that the file names"


def _wanted_readers(manifest: Manifest) -> str:
    """List the readers that the registry had in mind when the manifest was built; anonymous stanzas cannot say."""
    keys = dict.fromkeys(key for secret in manifest.secrets for key in secret.readers or ())
    known = manifest.principals
    return ", ".join(f"{known[key].name} {key}" if key in known else key for key in keys)


def _evidence(data: bytes) -> tuple[Evidence, ...]:
    try:
        header, _ = inspect_age(data)
    except SecretsmithError:
        return ()
    return evidence_of(header)


def _named(manifest: Manifest, tag: str) -> list[str]:
    known = [f"{item.name} {key}" for key, item in manifest.principals.items() if item.ssh_tag == tag]
    return known or [f"a key with ssh tag {tag} that the manifest does not name"]


__all__ = ["no_key_at_all", "not_a_reader", "nothing_opens"]
