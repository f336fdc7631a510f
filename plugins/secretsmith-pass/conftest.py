"""Throw-away stores, and homes of gpg whose agents end with the tests."""

from passfixtures import gnupg, store

__all__ = ["gnupg", "store"]
