"""Parameters of the commands about one's own private keys and the keyrings that unlock them."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, option, parameters

_KEY = "The private key's file; without it, the one key here that has a passphrase."


@parameters
class IdentityListParameters:
    """``secretsmith identity list``."""

    json: bool = flag(
        "--json", "Print JSON (docs/reference/schemas/identity-list.schema.json).", default=False
    )


@parameters
class IdentityRememberParameters:
    """``secretsmith identity remember [PATH]``."""

    path: str | None = argument("PATH", _KEY, default=None)
    yes: bool = flag("--yes", "Keep it there without asking; the passphrase is asked for.", default=False)


@parameters
class IdentityForgetParameters:
    """``secretsmith identity forget [PATH]``."""

    path: str | None = argument("PATH", _KEY, default=None)
    all: bool = flag("--all", "The passphrases of all keys, also of those that are gone.", default=False)


@parameters
class IdentityUnlockParameters:
    """``secretsmith identity unlock [PATH]``."""

    path: str | None = argument("PATH", _KEY, default=None)
    how_long: str = option("--for", "TIME", "How long: a number with s, m or h, up to 24h.", default="15m")


@parameters
class IdentityLockParameters:
    """``secretsmith identity lock [PATH]``."""

    path: str | None = argument("PATH", "The private key's file; without it, all keys.", default=None)


__all__ = [
    "IdentityForgetParameters",
    "IdentityListParameters",
    "IdentityLockParameters",
    "IdentityRememberParameters",
    "IdentityUnlockParameters",
]
