"""Parameters of the commands that change who there is: registry, users, hosts, groups."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, many, option, options, parameters, switch

_ACCEPT = "Accept a key that this clone has not seen, by its fingerprint, or all of them; may be repeated."
_REKEY = "Rekey the files that drift afterwards, or do not; without either, ask on a terminal."
_JSON = "Print JSON (docs/reference/schemas/{}.schema.json)."
_HOST = "The host's name in the registry."
_USER = "The user's name in the registry."
_GROUP = "The group's name, without @."
_HOST_KEY = "The ssh-ed25519 public key line of the host, in quotes."
_HOST_KEY_FILE = "A file with that line, for instance ssh_host_ed25519_key.pub; - reads standard input."
_REASONS = ("reinstalled", "replaced", "compromised")
_YES = "Do it without asking."


@parameters
class InitParameters:
    """``secretsmith init``."""

    user: str | None = option(
        "--user", "NAME", "Your name in the registry; without it, your login name.", default=None
    )
    key: str | None = option(
        "--key", "FILE|-|LINE", "Your public key: a file, standard input, or the line itself.", default=None
    )
    secrets: str = option("--secrets", "FOLDER", "The folder for secrets.", default="secrets")
    git: str = option(
        "--git", "MODE", "How new files are shown to git.", default="intent", choices=("intent", "add", "off")
    )
    yes: bool = flag("--yes", _YES, default=False)


@parameters
class HostAddParameters:
    """``secretsmith host add NAME``."""

    name: str = argument("NAME", _HOST)
    key: str | None = option("--key", "LINE", _HOST_KEY, default=None)
    key_file: str | None = option("--key-file", "FILE", _HOST_KEY_FILE, default=None)
    address: str | None = option("--address", "ADDRESS", "Where ssh reaches it.", default=None)
    pending: bool = flag("--pending", "Register the name before the host has a key.", default=False)
    rekey: bool | None = switch("--rekey", _REKEY, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class HostListParameters:
    """``secretsmith host list``."""

    json: bool = flag("--json", _JSON.format("host-list"), default=False)


@parameters
class HostRetireParameters:
    """``secretsmith host retire NAME``."""

    name: str = argument("NAME", _HOST)
    compromised: bool = flag(
        "--compromised",
        "Its key is in wrong hands: all that it could read is owed a new value.",
        default=False,
    )
    reason: str | None = option(
        "--reason", "REASON", "Why, for the registry.", default=None, choices=_REASONS
    )
    yes: bool = flag("--yes", _YES, default=False)
    rekey: bool | None = switch("--rekey", _REKEY, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class HostReprovisionParameters:
    """``secretsmith host reprovision NAME``."""

    name: str = argument("NAME", _HOST)
    key: str | None = option("--key", "LINE", _HOST_KEY, default=None)
    key_file: str | None = option("--key-file", "FILE", _HOST_KEY_FILE, default=None)
    reason: str = option(
        "--reason", "REASON", "Why, for the registry.", default="reinstalled", choices=_REASONS
    )
    yes: bool = flag("--yes", _YES, default=False)
    rekey: bool | None = switch("--rekey", _REKEY, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class UserAddParameters:
    """``secretsmith user add NAME``."""

    name: str = argument("NAME", _USER)
    key: tuple[str, ...] = options(
        "--key",
        "LINE",
        "A public key of the user: ssh-ed25519, ssh-rsa or age1…; may be repeated.",
        default=(),
    )
    key_file: str | None = option(
        "--key-file", "FILE", "A file with public keys, one a line; - reads standard input.", default=None
    )
    admin: bool = flag("--admin", "The user reads every secret.", default=False)
    rekey: bool | None = switch("--rekey", _REKEY, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class UserRemoveParameters:
    """``secretsmith user remove NAME``."""

    name: str = argument("NAME", _USER)
    yes: bool = flag("--yes", _YES, default=False)
    rekey: bool | None = switch("--rekey", _REKEY, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class UserListParameters:
    """``secretsmith user list``."""

    json: bool = flag("--json", _JSON.format("user-list"), default=False)


@parameters
class GroupAddParameters:
    """``secretsmith group add NAME MEMBER…``."""

    name: str = argument("NAME", _GROUP)
    members: tuple[str, ...] = many("MEMBER", "Users, hosts or @groups to put into it.")
    rekey: bool | None = switch("--rekey", _REKEY, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class GroupRemoveParameters:
    """``secretsmith group remove NAME [MEMBER…]``."""

    name: str = argument("NAME", _GROUP)
    members: tuple[str, ...] = many("MEMBER", "Who leaves; without any, the whole group goes.", default=())
    rekey: bool | None = switch("--rekey", _REKEY, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class GroupListParameters:
    """``secretsmith group list``."""

    json: bool = flag("--json", _JSON.format("group-list"), default=False)


__all__ = [
    "GroupAddParameters",
    "GroupListParameters",
    "GroupRemoveParameters",
    "HostAddParameters",
    "HostListParameters",
    "HostReprovisionParameters",
    "HostRetireParameters",
    "InitParameters",
    "UserAddParameters",
    "UserListParameters",
    "UserRemoveParameters",
]
