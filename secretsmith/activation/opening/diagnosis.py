"""Who can open what this host cannot, said so that a person knows what to do: from headers and the manifest's names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from shlex import quote

from secretsmith.activation.opening.hostkeys import HostKeys
from secretsmith.activation.opening.readers import Readers, keys_text, readers_text
from secretsmith.crypto.publickey import KeyKind, PublicKey
from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, NotFound, SecretsmithError
from secretsmith.hostkeytext import (
    CHANGED,
    files_behind,
    key_here,
    on_workstation,
    registered_key,
    reprovision,
)
from secretsmith.manifest import Manifest, ManifestSecret


def not_a_reader(
    manifest: Manifest, secret: ManifestSecret, readers: Readers, keys: HostKeys
) -> SecretsmithError:
    """Describe why ``keys`` do not open the source of ``secret``, which is for ``readers``.

    Mostly it is for others (NO_IDENTITY). It can also want several keys (KEY_GROUPS), or be for this host and damaged
    (CIPHERTEXT).
    """
    path = secret.source
    hints = [*_remarks(manifest, secret, readers, keys)]
    hints.append(on_workstation(_asking(manifest, secret)))
    if readers.include(_publics(keys)):
        if readers.needed > 1:
            text = f"{path}: this host's key alone does not open it: {readers.needed} of its {readers.groups} key groups"
            return CannotDecrypt(Code.KEY_GROUPS, f"{text} are needed", hints=hints, path=path)
        text = f"{path} names this host's key, but what it holds for that key is damaged"
        return IntegrityFailure(Code.CIPHERTEXT, text, hints=hints, path=path)
    return CannotDecrypt(
        Code.NO_IDENTITY,
        f"{path} is not encrypted for this host; it is for: {readers_text(manifest, [readers])}",
        hints=hints,
        path=path,
    )


def undelivered(manifest: Manifest, secret: ManifestSecret) -> NotFound:
    """Describe a live value that no deploy has brought yet: a build of the system alone never does."""
    text = f"{secret.source} does not exist; it would hold {secret.live}, a live value, which a deploy brings and no build"
    hint = on_workstation(f"secretsmith deploy {manifest.host}")
    return NotFound(Code.NOT_FOUND, text, hints=(hint,), path=secret.source)


def _asking(manifest: Manifest, secret: ManifestSecret) -> str:
    if secret.live is not None:
        return f"secretsmith deploy {manifest.host}"
    return f"secretsmith explain {quote(secret.id)} {manifest.host}"


def _remarks(manifest: Manifest, secret: ManifestSecret, readers: Readers, keys: HostKeys) -> Iterator[str]:
    if readers.remark is not None:
        yield readers.remark
    if readers.services:
        yield "activation uses age keys only: no PGP and no key service"
    if secret.readers and any(item.tag is None and item.recipient is None for item in readers.evidence):
        yield f"by the manifest it is for: {keys_text(manifest, secret.readers)}"
    yield from _rsa(keys)


def _rsa(keys: HostKeys) -> Iterator[str]:
    """Say of a host that has RSA keys only what they cannot do."""
    publics = _publics(keys)
    if publics and all(public.kind is KeyKind.RSA for public in publics):
        yield (
            f"{keys.keys[0].path} is an RSA key, which has no age1… form, and is no host's in the registry;"
            " ssh-keygen -A makes an ed25519 key beside it"
        )


def _publics(keys: HostKeys) -> list[PublicKey]:
    return [key.identity.public for key in keys.keys if key.identity.public is not None]


def nothing_opens(
    manifest: Manifest, keys: HostKeys, files: Sequence[Readers], now: float, results: Sequence[str]
) -> CannotDecrypt:
    """Describe a host whose keys open none of its secrets: most often it was reinstalled.

    ``files`` say whom the sources are for, age files and documents alike (:meth:`secretsmith.activation.opening.openings.Openings.readers`).

    ``now`` is in seconds since 1970; ``results`` are lines on what became of the secrets. The last hint is the command
    that mends it.
    """
    ours = {key.identity.fingerprint for key in keys.keys}
    facts = [key_here(key.identity.fingerprint, key.path, key.written, now) for key in keys.keys]
    facts.append(f"the secrets are encrypted for: {readers_text(manifest, files)}")
    # What the registry had in mind when the manifest was built; anonymous stanzas cannot say.
    if wanted := dict.fromkeys(key for secret in manifest.secrets for key in secret.readers or ()):
        facts.append(f"by the manifest they are for: {keys_text(manifest, wanted)}")
    facts += _rsa(keys)
    if manifest.host_key in ours:
        facts.append(files_behind(manifest.host))
        stored = any(secret.live is None for secret in manifest.secrets)
        command = "secretsmith rekey" if stored else f"secretsmith deploy {manifest.host}"
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


__all__ = ["no_key_at_all", "not_a_reader", "nothing_opens", "undelivered"]
