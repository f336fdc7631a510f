"""The host's private keys: whether each can be used, whether it is the registered one, and how many sources it opens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from secretsmith.activation.accounts import Caller
from secretsmith.activation.doctor.facts import Fact, Said
from secretsmith.activation.inspection.facts import finding, finding_of, listed
from secretsmith.activation.opening.hostkeys import HostKey, HostKeys, load_host_keys
from secretsmith.activation.opening.openings import Opened, Openings
from secretsmith.activation.opening.sources import Sources
from secretsmith.errors import CannotDecrypt, Code, SecretsmithError
from secretsmith.findings import Finding, Severity
from secretsmith.hostkeytext import on_workstation, registered_key, reprovision
from secretsmith.manifest import Manifest, ManifestSecret, Output
from secretsmith.record import replace
from secretsmith.sensitive import Sensitive


def key_facts(manifest: Manifest, caller: Caller) -> Iterator[Said]:
    """Try every private key of the manifest on every source of it."""
    keys = load_host_keys(manifest.identities, caller.trusted)
    first: dict[str, ManifestSecret] = {}
    for secret in manifest.secrets:
        first.setdefault(secret.source, secret)
    tried: dict[str, list[Opened]] = {}
    for key in keys.keys:
        mine = set[str]()
        for path, found in _tried(manifest, first, key):
            tried.setdefault(path, []).append(found)
            if isinstance(found, Sensitive):
                mine.add(path)
        yield Fact("identity", f"{_described(key, manifest)}; opens {len(mine)} of {len(first)} sources")
    for problem in keys.problems:
        yield Fact("identity", problem.message)
        yield finding_of(problem, "warning" if keys.keys else "error", path=problem.path or "")
    yield from _registered(manifest, keys)
    yield from _unopened(manifest, tried, len(first))


def _tried(
    manifest: Manifest, first: Mapping[str, ManifestSecret], key: HostKey
) -> Iterator[tuple[str, Opened]]:
    """Give what ``key`` makes of each source that can be read; of a document, all of it: a key of it may be misspelt."""
    # Sources of its own: each look lets go of what it has opened.
    sources = Sources()
    openings = Openings(manifest, sources, HostKeys((key,), ()))
    for path, secret in first.items():
        found = openings.value(replace(secret, key=None, output=Output.VALUE))
        if path not in sources.failures:
            yield path, found


def _unopened(manifest: Manifest, tried: Mapping[str, Sequence[Opened]], count: int) -> Iterator[Finding]:
    """Say which sources no key opened: those for others, and those that are damaged, which another key does not mend."""
    shut: list[str] = []
    damaged: dict[str, Code] = {}
    for path, found in tried.items():
        failures = [each for each in found if isinstance(each, SecretsmithError)]
        if len(failures) < len(found):
            continue
        if broken := [error for error in failures if not isinstance(error, CannotDecrypt)]:
            damaged[path] = broken[0].code
        else:
            shut.append(path)
    required = {secret.source for secret in manifest.secrets if secret.required}
    if shut:
        text = f"{len(shut)} of {count} sources are opened by no key of this host: {listed(shut)}"
        yield finding(
            Code.NO_IDENTITY, _severity(required, shut), "", text, "whom each is for says: secretsmith status"
        )
    if damaged:
        text = f"{len(damaged)} of {count} sources are damaged, or not of the manifest's format: {listed(damaged)}"
        code = next(iter(damaged.values()))
        yield finding(code, _severity(required, damaged), "", text, "what it is says: secretsmith status")


def _severity(required: set[str], paths: Iterable[str]) -> Severity:
    return "info" if required.isdisjoint(paths) else "error"


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
