"""The host's private keys: whether each can be used, whether it is the registered one, and how many sources it opens."""

from __future__ import annotations

from collections.abc import Iterator

from secretsmith.activation.accounts import Caller
from secretsmith.activation.doctorfacts import Fact, Said
from secretsmith.activation.hostkeys import HostKey, HostKeys, load_host_keys
from secretsmith.activation.inspectionfacts import finding, finding_of, listed
from secretsmith.activation.opening import Openings
from secretsmith.activation.sources import Sources
from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure
from secretsmith.hostkeytext import on_workstation, registered_key, reprovision
from secretsmith.manifest import Manifest, ManifestSecret


def key_facts(manifest: Manifest, caller: Caller) -> Iterator[Said]:
    """Try every private key of the manifest on every source of it."""
    keys = load_host_keys(manifest.identities, caller.trusted)
    first: dict[str, ManifestSecret] = {}
    for secret in manifest.secrets:
        first.setdefault(secret.source, secret)
    opened: set[str] = set()
    for key in keys.keys:
        mine = set(_opened(manifest, first, key))
        opened |= mine
        yield Fact("identity", f"{_described(key, manifest)}; opens {len(mine)} of {len(first)} sources")
    for problem in keys.problems:
        yield Fact("identity", problem.message)
        yield finding_of(problem, "warning" if keys.keys else "error", path=problem.path or "")
    yield from _registered(manifest, keys)
    if keys.keys and (shut := [path for path in first if path not in opened]):
        text = f"{len(shut)} of {len(first)} sources are opened by no key of this host: {listed(shut)}"
        yield finding(Code.NO_IDENTITY, "error", "", text, "secretsmith status, which says whom each is for")


def _opened(manifest: Manifest, first: dict[str, ManifestSecret], key: HostKey) -> Iterator[str]:
    # Sources of its own: each look lets go of what it has opened.
    sources = Sources()
    openings = Openings(manifest, sources, HostKeys((key,), ()))
    for path, secret in first.items():
        found = openings.value(secret)
        if path not in sources.failures and not isinstance(found, CannotDecrypt | IntegrityFailure):
            yield path


def _described(key: HostKey, manifest: Manifest) -> str:
    identity = key.identity
    kind = identity.public.kind.value if identity.public is not None else "key"
    ours = f", the registry's key of {manifest.host}" if identity.fingerprint == manifest.host_key else ""
    return f"{key.path}: {kind} {identity.fingerprint}{ours}"


def _registered(manifest: Manifest, keys: HostKeys) -> Iterator[Said]:
    if manifest.host_key is None or not keys.keys:
        return
    if manifest.host_key in {key.identity.fingerprint for key in keys.keys}:
        return
    publics = [key.identity.public for key in keys.keys if key.identity.public is not None]
    line = next((" ".join(public.text.split()[:2]) for public in publics if public.is_ssh), None)
    text = f"{registered_key(manifest.host, [manifest.host_key])}, and this host has no such key"
    hint = on_workstation(reprovision(manifest.host, line))
    yield finding(Code.NO_IDENTITY, "error", "", text, hint)


__all__ = ["key_facts"]
