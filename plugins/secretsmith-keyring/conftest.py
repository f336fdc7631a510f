"""A repository with a token, and programs that ask the real keyring for it."""

from keyringfixtures import approved, fleet, peer

__all__ = ["approved", "fleet", "peer"]
