"""Who a file says can read it (present), and how that differs from who should (wanted).

Three things speak: ssh stanzas carry four bytes of the key's fingerprint, sops documents carry recipients
as text, and ``X25519`` stanzas carry nothing. For the last kind the lock may know, when its digest fits
the file; else, if there are exactly as many as wanted keys that could stand behind them, it is assumed to
be those. Everything else is unknown, which is how a recipient that somebody slipped in shows itself.

The four bytes are no proof: a key with a chosen tag takes about 2^32 attempts. Only opening the file
proves readers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from typing import Literal, Protocol

from secretsmith.crypto.evidence import Evidence
from secretsmith.crypto.publickey import Form, KeyKind, parse_public_key
from secretsmith.errors import RefusedInput
from secretsmith.policy.forms import point_of_key, point_of_recipient
from secretsmith.policy.principals import KeyUse
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import Wanted
from secretsmith.record import record

Basis = Literal["file", "lock", "assumed"]


class Recorded(Protocol):
    """What is needed of a lock entry whose digest fits the file."""

    @property
    def recipients(self) -> Sequence[str]:
        """Fingerprints of all readers; empty when nothing is known."""
        ...

    @property
    def basis(self) -> str:
        """How they are known: wrote, opened or assumed."""
        ...


@record
class Present:
    """Who can read a file, as far as can be told without a key.

    ``keys`` are fingerprints of keys that the registry names in whatever state. ``unknown`` are the others:
    ``SHA256:…``, ``ssh-tag:XXXXXX``, ``anonymous×N`` or ``scrypt``. ``basis`` is the weakest thing relied on.
    """

    keys: frozenset[str]
    unknown: tuple[str, ...] = ()
    basis: Basis = "file"


@record
class Drift:
    """What a rewrite of the file would change. ``add`` and ``remove`` are fingerprints, sorted."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.remove or self.unknown)


def compare(wanted: Wanted | None, present: Present) -> Drift:
    """Compare; without a wish (no rule matches) only unknown readers count."""
    if wanted is None:
        return Drift(unknown=present.unknown)
    return Drift(
        add=tuple(sorted(wanted.keys.keys() - present.keys)),
        remove=tuple(sorted(present.keys - wanted.keys.keys())),
        unknown=present.unknown,
    )


def form_of(
    evidence: Iterable[Evidence], registry: Registry | None = None, present: Present | None = None
) -> Form | None:
    """Give the form in which a file names ed25519 keys, or ``None`` when it names none.

    An ``X25519`` stanza may belong to a derived host key or to an ``age1…`` key of a user. With
    ``registry`` and ``present`` that is looked up; without, such a stanza counts as derived.
    """
    kinds = {item.kind for item in evidence}
    if "ssh-ed25519" in kinds:
        return Form.NATIVE
    if not kinds & {"x25519", "recipient"}:
        return None
    if registry is not None and present is not None and present.keys and not present.unknown:
        kinds_present = {use.key.kind for key in present.keys for use in registry.key_owner(key)}
        return Form.DERIVED if KeyKind.ED25519 in kinds_present else None
    return Form.DERIVED


def present_readers(
    registry: Registry, evidence: Sequence[Evidence], wanted: Wanted | None, entry: Recorded | None = None
) -> Present:
    """Say who can read a file with this evidence.

    Args:
        registry: whose keys are looked for, whatever their state: a stanza of a retired key is present.
        evidence: one item a stanza, from the file.
        wanted: who should read it; prefers one of several keys, and bounds what may be assumed.
        entry: what the lock records of the file, only if the digest fits; else ``None``.
    """
    return _Reading(registry, evidence, wanted, entry).result()


class _Reading:
    """One file being looked at: named stanzas first, then the anonymous rest."""

    def __init__(
        self, registry: Registry, evidence: Sequence[Evidence], wanted: Wanted | None, entry: Recorded | None
    ) -> None:
        self._registry = registry
        self._wanted = {} if wanted is None else wanted.keys
        self._recorded = frozenset(entry.recipients) if entry is not None else frozenset()
        self._trusted = entry is not None and entry.basis != "assumed"
        self._keys: set[str] = set()
        self._unknown: list[str] = []
        self._basis: Basis = "file"
        self._native = any(item.kind == "ssh-ed25519" for item in evidence)
        self._evidence = evidence

    def result(self) -> Present:
        tags: Counter[tuple[str, str]] = Counter()
        anonymous: Counter[bool] = Counter()
        for item in self._evidence:
            if item.tag is not None:
                tags[item.kind, item.tag] += 1
            elif item.recipient is not None:
                self._named(item.recipient)
            elif item.kind == "scrypt":
                self._unknown.append("scrypt")
            else:
                anonymous[item.kind in ("x25519", "recipient")] += 1
        for (kind, tag), count in tags.items():
            self._tagged(kind, tag, count)
        if anonymous.total() and not self._by_lock(anonymous.total()):
            self._assume(anonymous)
        return Present(frozenset(self._keys), tuple(self._unknown), self._basis)

    def _named(self, recipient: str) -> None:
        """Take a recipient that the document names in full."""
        keys, unknown = named_keys(self._registry, recipient, self._wanted)
        self._keys |= keys
        if unknown:
            self._unknown.append(unknown)

    def _tagged(self, kind: str, tag: str, count: int) -> None:
        """Take ``count`` stanzas with the same tag; more of them than keys that bear it are unknown."""
        candidates = self._candidates(kind, tag)
        self._keys.update(candidates[:count])
        missing = count - len(candidates)
        if missing <= 0:
            return
        strange = sorted(key for key in self._recorded if tag_of(key) == tag and key not in candidates)
        for position in range(missing):
            self._unknown.append(strange[position] if position < len(strange) else f"ssh-tag:{tag}")

    def _candidates(self, kind: str, tag: str) -> list[str]:
        uses: list[KeyUse] = [use for use in self._registry.by_tag(tag) if use.key.kind == kind]
        fingerprints = list(dict.fromkeys(use.key.fingerprint for use in uses))
        # Among keys that share a tag: what the lock says, then what is wanted, then what is in use.
        return sorted(fingerprints, key=lambda key: (key not in self._recorded, key not in self._wanted))

    def _by_lock(self, count: int) -> bool:
        """Let the lock say who the anonymous stanzas are for, if it accounts for exactly so many."""
        rest = sorted(key for key in self._recorded - self._keys - set(self._unknown) if self._may_hide(key))
        if len(self._stanzas(rest)) != count:
            return False
        for key in rest:
            if self._registry.key_owner(key):
                self._keys.add(key)
            else:
                self._unknown.append(key)
        self._basis = "lock" if self._trusted else "assumed"
        return True

    def _stanzas(self, fingerprints: Iterable[str]) -> set[object]:
        """Give one thing for each stanza: a key registered as ssh and as ``age1…`` has one where both are derived."""
        found: set[object] = set()
        for fingerprint in fingerprints:
            uses = self._registry.key_owner(fingerprint)
            key = uses[0].key if uses else None
            found.add((key and (point_of_key(key) or point_of_recipient(key))) or fingerprint)
        return found

    def _may_hide(self, fingerprint: str) -> bool:
        return all(use.key.kind is not KeyKind.RSA for use in self._registry.key_owner(fingerprint))

    def _assume(self, anonymous: Counter[bool]) -> None:
        """Take anonymous stanzas for wanted keys if their numbers agree, else call them unknown."""
        missed = 0
        for x25519, count in sorted(anonymous.items(), reverse=True):
            rest = self._unaccounted(x25519)
            if count == len(self._stanzas(rest)):
                self._keys.update(rest)
                self._basis = "assumed"
            else:
                missed += count
        if missed:
            self._unknown.append(f"anonymous×{missed}")

    def _unaccounted(self, x25519: bool) -> list[str]:
        kinds = {KeyKind.X25519, KeyKind.ED25519} if x25519 else {KeyKind.HYBRID, KeyKind.TAG, KeyKind.PLUGIN}
        if self._native:
            # A file that names ed25519 keys natively names all of them so. Otherwise an X25519 stanza
            # slipped in would pass for a host that was just added to the registry and is not in the file
            # yet.
            kinds.discard(KeyKind.ED25519)
        return [key for key, value in self._wanted.items() if value.kind in kinds and key not in self._keys]


def named_keys(registry: Registry, recipient: str, wanted: Container[str]) -> tuple[frozenset[str], str]:
    """Give the fingerprints of the registered keys behind a recipient's text, or what a strange one is called.

    The same key may be registered as ssh and as ``age1…``; it opens the file either way. ``wanted`` (fingerprints) are
    preferred among them.
    """
    uses = registry.by_recipient(recipient)
    if uses:
        keys = frozenset(use.key.fingerprint for use in uses if use.key.fingerprint in wanted)
        return keys or frozenset({uses[0].key.fingerprint}), ""
    try:
        return frozenset(), parse_public_key(recipient).fingerprint
    except RefusedInput:
        return frozenset(), "anonymous×1"


def tag_of(fingerprint: str) -> str | None:
    """Give the ssh tag of the key with this fingerprint.

    Both begin with the same digest (age: agessh/agessh.go, sshFingerprint).
    """
    import base64

    try:
        digest = base64.b64decode(fingerprint.removeprefix("SHA256:") + "=", validate=True)
    except ValueError:
        return None
    return base64.b64encode(digest[:4]).rstrip(b"=").decode("ascii")


__all__ = [
    "Basis",
    "Drift",
    "Present",
    "Recorded",
    "compare",
    "form_of",
    "named_keys",
    "present_readers",
    "tag_of",
]
