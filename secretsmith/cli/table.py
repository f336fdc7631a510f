"""Every command of ``secretsmith``: its words, its parameters, where its work begins.

Only names are held here. The parameter class and the run function are imported when a door needs them, so that a command
pays for itself alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from secretsmith.record import record


@record
class Command:
    """One command.

    ``path`` are its words ("host", "add"); ``definition`` is "module:Class" below ``secretsmith.cli.arguments``; ``run``
    is "module:function" below ``secretsmith.cli.commands``, called as ``function(session, given) -> ExitCode``.
    """

    path: tuple[str, ...]
    definition: str
    run: str
    help: str

    @property
    def name(self) -> str:
        """The words as they are typed."""
        return " ".join(self.path)

    @property
    def parameters(self) -> type[Any]:
        """The parameter class (imports its module)."""
        loaded: type[Any] = _load("secretsmith.cli.arguments", self.definition)
        return loaded

    def function(self) -> Callable[..., Any]:
        """The run function (imports the command's module and what it needs)."""
        loaded: Callable[..., Any] = _load("secretsmith.cli.commands", self.run)
        return loaded


def _load(package: str, name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(f"{package}.{module}"), attribute)


GROUPS = {
    "host": "Hosts: the machines that read secrets.",
    "user": "Users: the people who read and write secrets.",
    "group": "Groups of users and hosts, named @GROUP in rules.",
    "plugins": "Plugins: builders, sources and others that are installed.",
    "build": "What a build system knows of hosts and their secrets.",
    "identity": "The private keys that open secrets here.",
    "keyring": "What pip, twine and other programs get here through python's keyring.",
    "import": "Values from other programs.",
    "export": "Rules and values for other programs.",
    "debt": "Values that somebody who lost access could read, and that nobody has changed since.",
}

COMMANDS = (
    Command(
        ("init",),
        "principals:InitParameters",
        "init:run",
        "Start a registry here, with you as its first admin.",
    ),
    Command(
        ("activate",),
        "repository:ActivateParameters",
        "activate:run",
        "Install the secrets of a manifest on this host.",
    ),
    Command(
        ("status",),
        "host_side:StatusParameters",
        "status:run",
        "Say what the secrets on this host are, and what is off about them; for root.",
    ),
    Command(
        ("doctor",),
        "host_side:DoctorParameters",
        "doctor:run",
        "Look for what keeps this host from its secrets: keys, manifest, units, kernel; for root.",
    ),
    Command(("demo",), "repository:DemoParameters", "demo:run", "Show the main job on a throw-away fleet."),
    Command(("show",), "values:ShowParameters", "show:run", "Print a secret, byte for byte."),
    Command(
        ("set",),
        "values:SetParameters",
        "set:run",
        "Store a value from standard input, or asked for on a terminal.",
    ),
    Command(
        ("edit",), "values:EditParameters", "edit:run", "Edit a secret in $VISUAL or $EDITOR, in memory only."
    ),
    Command(("unset",), "files:UnsetParameters", "unset:run", "Take a value out of a document."),
    Command(("ls",), "values:LsParameters", "ls:run", "List secrets and who can read them; needs no key."),
    Command(("rm",), "values:RmParameters", "rm:run", "Remove secrets."),
    Command(
        ("mv",),
        "values:MvParameters",
        "mv:run",
        "Move a secret; its readers follow the rules of the new path.",
    ),
    Command(("cp",), "values:CpParameters", "cp:run", "Copy a secret to the readers of the new path."),
    Command(
        ("link",),
        "linking:LinkParameters",
        "link:run",
        "Let a value that is kept elsewhere, in pass for instance, be the value of a file here.",
    ),
    Command(
        ("unlink",), "linking:UnlinkParameters", "unlink:run", "End a link, and remove the file that it kept."
    ),
    Command(
        ("sync",),
        "linking:SyncParameters",
        "sync:run",
        "Fetch what changed at its source; with --build, what hosts declare.",
    ),
    Command(("grant",), "readers:GrantParameters", "grant:run", "Let somebody read what matches a pattern."),
    Command(
        ("revoke",), "readers:RevokeParameters", "revoke:run", "Take somebody off the rule with a pattern."
    ),
    Command(
        ("rekey",),
        "readers:RekeyParameters",
        "rekey:run",
        "Encrypt the files that drift to the readers the rules want.",
    ),
    Command(
        ("rotate",),
        "files:RotateParameters",
        "rotate:run",
        "Encrypt secrets under a new data key; the values stay.",
    ),
    Command(
        ("decrypt",),
        "files:DecryptParameters",
        "decrypt:run",
        "Print any encrypted file in clear, as sops does.",
    ),
    Command(("encrypt",), "files:EncryptParameters", "encrypt:run", "Encrypt a file, as sops does."),
    Command(
        ("run",),
        "files:RunParameters",
        "run:run",
        "Run a program with a secret's values in its environment or as files.",
    ),
    Command(
        ("check",), "readers:CheckParameters", "check:run", "Look for drift and other trouble; needs no key."
    ),
    Command(
        ("access",),
        "access:AccessParameters",
        "access:run",
        "Say who can read what, and who gained and lost what since a revision; needs no key.",
    ),
    Command(
        ("blast-radius",),
        "access:BlastRadiusParameters",
        "blast_radius:run",
        "Say what the keys of one user or host open, now and in git history; needs no key.",
    ),
    Command(
        ("debt",),
        "debt:DebtParameters",
        "debt:run",
        "List values that somebody who lost access could read, and that nobody has changed since.",
    ),
    Command(
        ("debt", "clear"),
        "debt:DebtClearParameters",
        "debt:clear",
        "Take values off the list of debt without changing them.",
    ),
    Command(
        ("explain",),
        "debt:ExplainParameters",
        "explain:run",
        "Say why a host or user can read a secret, or the first thing that is in the way.",
    ),
    Command(
        ("host", "add"), "principals:HostAddParameters", "host:add", "Register a host by its ssh host key."
    ),
    Command(
        ("host", "list"), "principals:HostListParameters", "host:list_hosts", "List hosts and their keys."
    ),
    Command(
        ("host", "reprovision"),
        "principals:HostReprovisionParameters",
        "host:reprovision",
        "Give a reinstalled host's new key the place of the old one.",
    ),
    Command(
        ("host", "retire"), "principals:HostRetireParameters", "host:retire", "Take a host out of service."
    ),
    Command(
        ("host", "keygen"),
        "principals:HostKeygenParameters",
        "hostkeygen:keygen",
        "Make a host's key before the host exists, for its installer.",
    ),
    Command(("user", "add"), "principals:UserAddParameters", "user:add", "Register a user by public keys."),
    Command(
        ("user", "remove"), "principals:UserRemoveParameters", "user:remove", "Take a user's access away."
    ),
    Command(
        ("user", "list"), "principals:UserListParameters", "user:list_users", "List users and their keys."
    ),
    Command(
        ("group", "add"), "principals:GroupAddParameters", "group:add", "Make a group, or add members to it."
    ),
    Command(
        ("group", "remove"),
        "principals:GroupRemoveParameters",
        "group:remove",
        "Remove members, or the whole group.",
    ),
    Command(
        ("group", "list"), "principals:GroupListParameters", "group:list_groups", "List groups and members."
    ),
    Command(("lock",), "repository:LockParameters", "lock:run", "Merge secretsmith.lock after a conflict."),
    Command(
        ("plugins", "list"),
        "repository:PluginsListParameters",
        "plugins:list_plugins",
        "List plugins and their state.",
    ),
    Command(
        ("plugins", "install-pass-extension"),
        "passstores:InstallPassExtensionParameters",
        "plugins:install_pass_extension",
        "Give pass the commands pass secretsmith link, sync and status.",
    ),
    Command(
        ("identity", "list"),
        "identities:IdentityListParameters",
        "identity:list_identities",
        "List where private keys were looked for, and what was found; what the keyrings have for them.",
    ),
    Command(
        ("identity", "remember"),
        "identities:IdentityRememberParameters",
        "identity:remember",
        "Keep the passphrase of a private key in the desktop's keyring.",
    ),
    Command(
        ("identity", "forget"),
        "identities:IdentityForgetParameters",
        "identity:forget",
        "Take the passphrase of a private key out of the desktop's keyring.",
    ),
    Command(
        ("identity", "unlock"),
        "identities:IdentityUnlockParameters",
        "identity:unlock",
        "Keep a private key unlocked in the kernel's keyring for a while; never for root.",
    ),
    Command(
        ("identity", "lock"),
        "identities:IdentityLockParameters",
        "identity:lock",
        "Take unlocked private keys out of the kernel's keyring.",
    ),
    Command(
        ("keyring", "list"),
        "keyrings:KeyringListParameters",
        "keyring:list_logins",
        "List the services that the registry maps to secrets, and what is approved on this computer.",
    ),
    Command(
        ("keyring", "approve"),
        "keyrings:KeyringApproveParameters",
        "keyring:approve",
        "Let programs on this computer have what the registry maps.",
    ),
    Command(
        ("keyring", "forget"),
        "keyrings:KeyringForgetParameters",
        "keyring:forget",
        "Take back all that was approved for this repository.",
    ),
    Command(
        ("build", "hosts"),
        "repository:BuildHostsParameters",
        "build:hosts",
        "List the hosts a builder knows.",
    ),
    Command(
        ("build", "manifest"),
        "repository:BuildManifestParameters",
        "build:manifest",
        "Make a host's manifest.",
    ),
    Command(
        ("build", "check"),
        "repository:BuildCheckParameters",
        "buildcheck:run",
        "Look for what would keep hosts from their secrets; needs no key, and with --manifest no repository.",
    ),
    Command(
        ("deploy",),
        "deploying:DeployParameters",
        "deploy:run",
        "Send a host its manifest and encrypted files over ssh, and have it install them.",
    ),
    Command(
        ("import", "pass"),
        "passstores:ImportPassParameters",
        "importpass:from_pass",
        "Copy values out of pass into secrets; pass stays as it is.",
    ),
    Command(
        ("import", "passage"),
        "passstores:ImportPassageParameters",
        "importpass:from_passage",
        "Copy values out of passage into secrets, as import pass does.",
    ),
    Command(
        ("import", "gopass"),
        "passstores:ImportGopassParameters",
        "importpass:from_gopass",
        "Copy values out of gopass (age) into secrets, as import pass does.",
    ),
    Command(
        ("export", "pass"),
        "passstores:ExportPassParameters",
        "exportpass:to_pass",
        "Write values of secrets into pass, for those who its .gpg-id files name.",
    ),
    Command(
        ("export", "passage"),
        "passstores:ExportPassageParameters",
        "exportpass:to_passage",
        "Write values of secrets into passage, for those who its .age-recipients name.",
    ),
    Command(
        ("export", "gopass"),
        "passstores:ExportGopassParameters",
        "exportpass:to_gopass",
        "Write values of secrets into gopass (age), for those who its .age-recipients name.",
    ),
    Command(
        ("export", "sops"),
        "files:ExportSopsParameters",
        "export:sops",
        "Write the rules as .sops.yaml, for people who also use plain sops.",
    ),
)


@record
class Invocation:
    """What a door read from argv: the command, its parameter object, and the folder of ``-C``, if given."""

    command: Command
    given: Any
    directory: str | None = None


def find_command(path: tuple[str, ...]) -> Command | None:
    """Return the command with exactly these words."""
    return _BY_PATH.get(path)


_BY_PATH = {command.path: command for command in COMMANDS}

__all__ = ["COMMANDS", "GROUPS", "Command", "Invocation", "find_command"]
