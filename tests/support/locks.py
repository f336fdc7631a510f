"""Hypothesis strategies for locks."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from hypothesis import strategies as st

from secretsmith.policy.lock import Debt, Link, Lock, LockEntry

FINGERPRINTS = ["SHA256:" + b64encode(sha256(bytes([n])).digest()).decode().rstrip("=") for n in range(6)]
PATHS = [
    "secrets/a.age",
    "secrets/b.age",
    "secrets/c.yaml",
    "secrets/web/d.age",
    'secrets/web/é "x".age',
    "z.env",
]


def digest(number: int) -> str:
    """A file digest."""
    return sha256(str(number).encode()).hexdigest()


def entries() -> st.SearchStrategy[LockEntry]:
    return st.builds(
        LockEntry,
        sha256=st.integers(0, 5).map(digest),
        recipients=st.sets(st.sampled_from(FINGERPRINTS), max_size=3).map(lambda keys: tuple(sorted(keys))),
        basis=st.sampled_from(["wrote", "opened", "assumed"]),
        key_exposed=st.booleans(),
    )


def debts() -> st.SearchStrategy[Debt]:
    return st.builds(
        Debt,
        path=st.sampled_from(PATHS),
        key=st.sampled_from([None, "mail/smtp"]),
        principal=st.sampled_from(["web1", "bob"]),
        reason=st.sampled_from(["retired", "revoked", "compromised"]),
        since=st.sampled_from(["2026-01-02", "2026-11-20"]),
    )


def locks() -> st.SearchStrategy[Lock]:
    links = st.builds(
        Link, st.sampled_from(["pass:a", "pass:b"]), st.integers(0, 2).map(digest), st.just("alice")
    )
    return st.builds(
        lambda files, debt, linked: Lock(files, (), linked).with_debt(debt),
        st.dictionaries(st.sampled_from(PATHS), entries(), max_size=6),
        st.lists(debts(), max_size=5),
        st.dictionaries(st.sampled_from(PATHS), links, max_size=3),
    )
