"""Whole age files: look inside, open, make.

Repository files are encrypted to keys only; a passphrase (scrypt) is for identity files
(:func:`secretsmith.crypto.passphrase.decrypt_scrypt`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

from secretsmith.crypto import _pyrage, parameters
from secretsmith.crypto.armor import dearmor, enarmor, is_armored
from secretsmith.crypto.evidence import Evidence, evidence_of
from secretsmith.crypto.header import Header, parse_header
from secretsmith.crypto.identity import Identity
from secretsmith.crypto.plugins import PluginSettings
from secretsmith.crypto.publickey import KeyKind, PublicKey, parse_public_key
from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, RefusedInput, SecretsmithError
from secretsmith.interaction import Interaction, NoInteraction
from secretsmith.record import record
from secretsmith.sensitive import Sensitive


@record
class Opened:
    """A decrypted age file: the value, the identity that opened it, and what the file looked like."""

    plaintext: Sensitive
    identity: Identity
    armored: bool
    header: Header


def inspect_age(data: bytes) -> tuple[Header, bool]:
    """Parse the header of an age file and tell whether it is armored; needs no key.

    Raises:
        RefusedInput: EMPTY, TOO_BIG, FORMAT, AGE_ARMOR, AGE_HEADER, AGE_VERSION.
    """
    binary, armored = _binary(data)
    return parse_header(binary), armored


def _binary(data: bytes) -> tuple[bytes, bool]:
    if is_armored(data):
        return dearmor(data), True
    return data, False


def decrypt_age(data: bytes, identities: Iterable[Identity], header: Header | None = None) -> Opened:
    """Open an age file with the first identity that can; ``header`` is its own, if it was parsed before.

    ``identities`` may be lazy: the next one is taken only when those before did not open the file, so that nobody is
    asked for a passphrase in vain. An identity that fails (a plugin that is not installed) does not keep the others
    from trying; its error is raised when none opens the file.

    Raises:
        RefusedInput: what inspect_age raises; AGE_SCRYPT for a file under a passphrase.
        CannotDecrypt: NO_IDENTITY, PLUGIN_MISSING, PLUGIN_FAILED, PLUGIN_TIMEOUT.
        IntegrityFailure: AGE_MAC, AGE_PAYLOAD, AGE_TRUNCATED.
    """
    binary, armored = _binary(data)
    header = parse_header(binary) if header is None else header
    if header.stanzas[0].type == "scrypt":
        raise RefusedInput(
            Code.AGE_SCRYPT,
            "the file is encrypted with a passphrase, which no host could open",
            hints=("decrypt it with: age -d FILE, then: secretsmith set SECRET",),
        )
    tried: set[str] = set()
    failure: CannotDecrypt | None = None
    for identity in identities:
        if not identity.may_open(header) or identity.fingerprint in tried:
            continue
        tried.add(identity.fingerprint)
        try:
            plaintext = identity.open_file(binary, header)
        except CannotDecrypt as problem:
            failure = failure or problem
            continue
        if plaintext is not None:
            return Opened(plaintext, identity, armored, header)
    raise failure or _no_identity(header, len(tried))


def _no_identity(header: Header, tried: int) -> CannotDecrypt:
    counts = Counter(evidence.kind for evidence in evidence_of(header))
    readers = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    hints = (
        f"the file is encrypted to: {readers or 'nobody'}; identities that were tried: {tried}",
        "name a key of yours: SECRETSMITH_IDENTITY=FILE; or ask an admin to run: secretsmith rekey",
    )
    return CannotDecrypt(Code.NO_IDENTITY, "none of the identities opens this file", hints=hints)


def encrypt_age(
    plaintext: Sensitive,
    recipients: Sequence[str],
    *,
    armor: bool,
    interaction: Interaction | None = None,
    plugins: PluginSettings | None = None,
) -> bytes:
    """Encrypt to recipient texts ("ssh-ed25519 AAAA…", "age1…"); repeated ones count once.

    The file is read back: its stanzas must be the ones asked for.

    Raises: as :func:`seal_age`.
    """
    return seal_age(plaintext, recipients, armor=armor, interaction=interaction, plugins=plugins)[0]


def seal_age(
    plaintext: Sensitive,
    recipients: Sequence[str],
    *,
    armor: bool,
    interaction: Interaction | None = None,
    plugins: PluginSettings | None = None,
) -> tuple[bytes, tuple[Evidence, ...]]:
    """Do the same, and give what the file says of its readers, as it was read back.

    Raises:
        RefusedInput: what parse_public_key raises; RECIPIENT_MISSING for no recipient, RECIPIENT_MIX for post-quantum
            beside other recipients, KEY_UNSUPPORTED for post-quantum ones, TOO_BIG.
        SecretsmithError: PLUGIN_MISSING, PLUGIN_FAILED, PLUGIN_TIMEOUT.
    """
    keys = _keys(tuple(recipients))
    limit = parameters.MAX_ARMORED_FILE * 3 // 4 if armor else parameters.MAX_AGE_FILE
    # Room for the header, a tag a chunk, and the armor's line ends.
    if len(plaintext) > limit - parameters.MAX_HEADER_BYTES - limit // 32:
        raise RefusedInput(
            Code.TOO_BIG,
            f"a value of {len(plaintext)} bytes is too large for {'an armored' if armor else 'an'} age file",
        )
    binary = _pyrage.encrypt(plaintext, keys, interaction or NoInteraction(), plugins)
    found = evidence_of(parse_header(binary))
    _check_written(found, keys)
    return enarmor(binary) if armor else binary, found


# A rekey seals thousands of files to the same few. Public keys alone; a set of a hundred is some 50 KiB.
@lru_cache(maxsize=32)
def _keys(recipients: tuple[str, ...]) -> tuple[PublicKey, ...]:
    """Parse recipients, each once, and see that they can read one file together."""
    keys = tuple({key.text: key for key in map(parse_public_key, recipients)}.values())
    _check_recipients(keys)
    return keys


def _check_recipients(keys: Sequence[PublicKey]) -> None:
    if not keys:
        raise RefusedInput(
            Code.RECIPIENT_MISSING,
            "a file without recipients could be opened by nobody",
            hints=("name a reader: secretsmith grant PATTERN --to WHO",),
        )
    if len(keys) > parameters.MAX_STANZAS:
        raise RefusedInput(Code.TOO_BIG, f"{len(keys)} recipients; a file takes {parameters.MAX_STANZAS}")
    quantum = [key for key in keys if key.kind is KeyKind.HYBRID or key.plugin == "tagpq"]
    if quantum and len(quantum) < len(keys):
        # One classic stanza opens the file to a quantum computer, and age refuses to mix them too.
        raise RefusedInput(
            Code.RECIPIENT_MIX,
            "post-quantum and other recipients cannot read the same file",
            hints=("give the readers keys of one sort",),
        )
    for key in quantum:
        if key.kind is KeyKind.HYBRID:
            raise RefusedInput(
                Code.KEY_UNSUPPORTED,
                "post-quantum recipients (age1pq1…) cannot be written by this version",
                hints=("use an ed25519 ssh key or an age1… key",),
            )


@lru_cache(maxsize=32)
def _stanzas_of(keys: tuple[PublicKey, ...]) -> Counter[tuple[str, str | None]]:
    """Give the stanzas that we write ourselves for ``keys``; not to be changed."""
    return Counter(
        (key.kind.value if key.is_ssh else "x25519", key.tag)
        for key in keys
        if key.kind not in (KeyKind.PLUGIN, KeyKind.TAG)
    )


def _check_written(found: Sequence[Evidence], keys: tuple[PublicKey, ...]) -> None:
    """Compare the stanzas of a new file with its recipients, before anybody relies on it."""
    wanted = _stanzas_of(keys)
    present: Counter[tuple[str, str | None]] = Counter((evidence.kind, evidence.tag) for evidence in found)
    if present == wanted:
        return
    others = [key for key in keys if key.kind in (KeyKind.PLUGIN, KeyKind.TAG)]
    missing, extra = wanted - present, present - wanted
    # A plugin writes stanzas of its own types, and sometimes more than one a key.
    if missing or (extra and not others):
        raise IntegrityFailure(
            Code.RECIPIENT_MISSING, "the new age file does not name the recipients asked for"
        )
    if sum(extra.values()) < len({key.plugin for key in others}):
        raise SecretsmithError(Code.PLUGIN_FAILED, "an age plugin wrote no stanza for its key")


__all__ = ["Opened", "decrypt_age", "encrypt_age", "inspect_age", "seal_age"]
