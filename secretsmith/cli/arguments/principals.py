"""Parameters of the commands that change who there is: registry, users, hosts, groups."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, many, option, options, parameters, switch

_ACCEPT = "Accept a key that this clone has not seen, by its fingerprint, or all of them; may be repeated."
_REKEY = (
    "Rekey all files that drift, in the same step, or do not; without either, ask on a terminal afterwards."
)
_CONCERNED = (
    "Rekey the files where its keys come or go, in the same step; --no-rekey changes the registry alone."
)
_JSON = "Print JSON (docs/reference/schemas/{}.schema.json)."
_HOST = "The host's name in the registry."
_USER = "The user's name in the registry."
_GROUP = "The group's name, without @."
_HOST_KEY = "The ssh-ed25519 public key line of the host, in quotes."
_HOST_KEY_FILE = "A file with that line, for instance ssh_host_ed25519_key.pub; - reads standard input."
_SCAN = "Ask the host itself for its key, at ADDRESS, and compare the answer with all that is known here."
_AT = "With --scan: an ssh alias, HOST, USER@HOST or HOST:PORT; else the address in the registry, or NAME."
_FINGERPRINT = "With --scan: what the host's console says; nothing else is accepted, and nothing is asked."
_KNOWN_HOSTS = "With --scan: put the key into ssh's known_hosts, in the place of the host's old ones."
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
    at: str | None = argument("ADDRESS", _AT, default=None)
    key: str | None = option("--key", "LINE", _HOST_KEY, default=None)
    key_file: str | None = option("--key-file", "FILE", _HOST_KEY_FILE, default=None)
    address: str | None = option("--address", "ADDRESS", "Where ssh reaches it.", default=None)
    scan: bool = flag("--scan", _SCAN, default=False)
    fingerprint: str | None = option("--fingerprint", "SHA256:…", _FINGERPRINT, default=None)
    fix_known_hosts: bool = flag("--fix-known-hosts", _KNOWN_HOSTS, default=False)
    pending: bool = flag("--pending", "Register the name before the host has a key.", default=False)
    yes: bool = flag("--yes", _YES, default=False)
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
    rekey: bool | None = switch("--rekey", _CONCERNED, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class HostReprovisionParameters:
    """``secretsmith host reprovision NAME``."""

    name: str = argument("NAME", _HOST)
    at: str | None = argument("ADDRESS", _AT, default=None)
    key: str | None = option("--key", "LINE", _HOST_KEY, default=None)
    key_file: str | None = option("--key-file", "FILE", _HOST_KEY_FILE, default=None)
    address: str | None = option("--address", "ADDRESS", "Where ssh reaches it.", default=None)
    scan: bool = flag("--scan", _SCAN, default=False)
    fingerprint: str | None = option("--fingerprint", "SHA256:…", _FINGERPRINT, default=None)
    fix_known_hosts: bool = flag("--fix-known-hosts", _KNOWN_HOSTS, default=False)
    keep_old: bool = flag(
        "--keep-old",
        "Let the host have its old key, too, while it is replaced on a running machine.",
        default=False,
    )
    drop_old: bool = flag(
        "--drop-old", "End that: retire all its keys but the one registered last.", default=False
    )
    reason: str | None = option(
        "--reason",
        "REASON",
        "Why, for the registry; else reinstalled, and with --drop-old replaced.",
        default=None,
        choices=_REASONS,
    )
    yes: bool = flag("--yes", _YES, default=False)
    rekey: bool | None = switch("--rekey", _CONCERNED, default=None)
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class HostKeygenParameters:
    """``secretsmith host keygen NAME``."""

    name: str = argument("NAME", _HOST)
    extra_files: str | None = option(
        "--extra-files",
        "DIR",
        "Write the key to DIR/etc/ssh, as nixos-anywhere copies it; without it, to a new folder in memory.",
        default=None,
    )
    cloud_init: str | None = option(
        "--cloud-init",
        "FILE|-",
        "Write a cloud-config with the key to a file, or to standard output.",
        default=None,
    )
    vm: bool = flag(
        "--vm", "Print the NixOS options that hand the key to nixos-rebuild build-vm.", default=False
    )
    plaintext_on_disk: bool = flag(
        "--plaintext-on-disk", "Allow places that are not in memory.", default=False
    )
    replace: bool = flag("--replace", "Make a new key for a host that has one.", default=False)
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
    rekey: bool | None = switch("--rekey", _CONCERNED, default=None)
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
    "HostKeygenParameters",
    "HostListParameters",
    "HostReprovisionParameters",
    "HostRetireParameters",
    "InitParameters",
    "UserAddParameters",
    "UserListParameters",
    "UserRemoveParameters",
]
