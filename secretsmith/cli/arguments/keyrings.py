"""Parameters of the commands about what programs get through python's keyring."""

from __future__ import annotations

from secretsmith.cli.parameters import flag, many, parameters


@parameters
class KeyringListParameters:
    """``secretsmith keyring list``."""

    json: bool = flag(
        "--json", "Print JSON (docs/reference/schemas/keyring-list.schema.json).", default=False
    )


@parameters
class KeyringApproveParameters:
    """``secretsmith keyring approve [SERVICE…]``."""

    services: tuple[str, ...] = many(
        "SERVICE", "Services of [[keyring]] in the registry; without any, each one is asked for.", default=()
    )
    all: bool = flag("--all", "All that the registry has now.", default=False)
    store: bool = flag(
        "--store", "Also let programs store logins here, as secrets of their own.", default=False
    )
    no_store: bool = flag("--no-store", "Let programs store logins here no more.", default=False)


@parameters
class KeyringForgetParameters:
    """``secretsmith keyring forget``."""


__all__ = ["KeyringApproveParameters", "KeyringForgetParameters", "KeyringListParameters"]
