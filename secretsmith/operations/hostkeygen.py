"""``host keygen``: a host's key before the host exists, so that it reads its secrets at first boot.

The private half is stored as a secret of the admins before the public half is registered: a run that is interrupted
in between is finished by the next one, and no registered key is ever without its private half. What an installer wants
is made from the stored secret each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.crypto.publickey import KeyKind, PublicKey, parse_public_key
from secretsmith.crypto.sshkeygen import generate_ssh_key
from secretsmith.errors import Code, RefusedInput
from secretsmith.operations.changes import Changed, RekeyChoice, check_new_name
from secretsmith.operations.hosts import add_host, reprovision_host
from secretsmith.operations.readers import wanted_by
from secretsmith.operations.show import show_secret
from secretsmith.operations.write_value import prepare_write, store_value
from secretsmith.policy.principals import Host, HostStatus, RetireReason
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import wanted_readers
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.sensitive import Sensitive
from secretsmith.store.scratch import memory_base
from secretsmith.store.userfile import UserFile, private_folder, refuse_disk, write_below

KEY_NAME: Final = "ssh_host_ed25519_key"
KEY_PLACE: Final = f"etc/ssh/{KEY_NAME}"
VM_FOLDER: Final = "/mnt/host-key"
VM_VARIABLE: Final = "SECRETSMITH_HOST_KEY"
Outcome = Literal["added", "activated", "replaced", "known"]


@record
class HostKey:
    """A host's key pair. ``path`` is the secret with the private half.

    ``made``: it is new. ``outcome`` is what became of the registry: "known" when it had the key already, and then
    ``changed`` is None. ``old`` are keys that were retired.
    """

    name: str
    path: str
    public: PublicKey
    private: Sensitive
    made: bool
    outcome: Outcome
    changed: Changed | None
    old: tuple[PublicKey, ...] = ()
    notes: tuple[str, ...] = ()


@record
class _Pair:
    public: PublicKey
    private: Sensitive


def host_secret(registry: Registry, name: str) -> str:
    """Return the path of the secret with a host's private key."""
    return f"{registry.secrets}/hosts/{name}/{KEY_NAME}.age"


def host_keygen(
    project: Project,
    name: str,
    *,
    replace: bool = False,
    accept: Sequence[str] = (),
    rekey: RekeyChoice | None = None,
    confirm: Callable[[str], None],
) -> HostKey:
    """Give the key pair of a host: the stored one, or a new one, which is stored and registered.

    ``replace`` makes a new key for a host that has one; ``confirm`` is called with the question, and raises to stop.
    ``rekey`` is of the files that drift once the key is registered, in the same transaction as that.

    Raises:
        RefusedInput: EXISTS, the host has a key whose private half is not stored; KEY_PRIVATE, a rule lets somebody else
            than admins read that; NAME, NAME_CLASH.
        SecretsmithError: as opening and writing a secret and changing the registry do.
    """
    check_new_name(registry := project.registry, name, "host")
    host = registry.hosts.get(name)
    path = host_secret(registry, name)
    _refuse_other_readers(project, name, path)
    stored = _stored(project, name, path) if os.path.lexists(project.root / path) else None
    if stored is not None and not replace and host is not None and host.reads and _has(host, stored.public):
        return HostKey(name, path, stored.public, stored.private, made=False, outcome="known", changed=None)
    waiting = host is None or _waits(host)
    # A stored key that the registry never named: an earlier run was interrupted before it could register it.
    key = stored if stored is not None and not registry.key_owner(stored.public.fingerprint) else None
    if not replace and (not waiting or key is not stored):
        raise _has_another(name, host, stored)
    if host is not None and not waiting:
        old = ", ".join(mine.fingerprint for mine in host.keys) or "no key in use"
        confirm(
            f"replace the key of {name}, {old}, by a new one? it opens nothing until it is installed with it"
        )
    if key is not None:
        return _register(project, host, name, path, key, made=False, rekey=rekey, notes=())
    key, notes = _make(project, name, path, accept)
    return _register(project, host, name, path, key, made=True, rekey=rekey, notes=notes)


def write_key(key: HostKey, folder: Path, *, on_disk: bool) -> None:
    """Write both halves below ``folder`` where they lie on the host, as ``nixos-anywhere --extra-files`` copies them.

    Raises:
        RefusedInput: NO_TMPFS, ``folder`` is not in memory and ``on_disk`` does not allow that.
    """
    files = [
        UserFile(KEY_PLACE, key.private, 0o600),
        UserFile(f"{KEY_PLACE}.pub", Sensitive(f"{key.public.line}\n".encode()), 0o644),
    ]
    write_below(folder, files, on_disk=on_disk)


def installer_folder(project: Project, name: str) -> Path:
    """Make a folder in memory for :func:`write_key`, and return it.

    It lies inside the private one: an installer that copies its mode too must not close the root of the new system.
    """
    return private_folder(f"host.{name}", project.environ) / "root"


def check_folder(project: Project, folder: Path | None, *, on_disk: bool) -> None:
    """Refuse a folder for a private key before one is made: on a disk (NO_TMPFS), or in the repository (USAGE).

    None stands for the one that :func:`installer_folder` makes.
    """
    if folder is None:
        memory_base(project.environ)
        return
    real = Path(os.path.realpath(folder))
    if project.root.resolve() in (real, *real.parents):
        raise RefusedInput(
            Code.USAGE,
            f"{folder}: inside of the repository, where a private key could be committed",
            hints=("leave it out: a private folder in memory is made then",),
        )
    if not on_disk:
        refuse_disk(real)


def cloud_config(key: HostKey) -> Sensitive:
    """Return a cloud-config with the key (cloud-init, module cc_ssh: ssh_keys). It holds the private half."""
    private = "".join(f"    {line}\n" for line in key.private.expose().decode("ascii").splitlines())
    text = (
        f"#cloud-config\n# The ssh host key of {key.name}, {key.public.fingerprint}. This is a private key.\n"
        "ssh_deletekeys: true\nssh_keys:\n"
        f"  ed25519_private: |\n{private}  ed25519_public: {key.public.line}\n"
    )
    return Sensitive(text.encode("ascii"))


def write_cloud_config(key: HostKey, file: Path, *, on_disk: bool) -> None:
    """Write :func:`cloud_config` to ``file`` (0600). Raises as :func:`write_key`."""
    write_below(file.parent, [UserFile(file.name, cloud_config(key), 0o600)], on_disk=on_disk)


def vm_module(key: HostKey, folder: Path) -> str:
    """Return a NixOS module that hands the key in ``folder`` to the machine of ``nixos-rebuild build-vm``.

    Options of nixpkgs: ``virtualisation.vmVariant`` (virtualisation/build-vm.nix), ``virtualisation.sharedDirectories``
    (virtualisation/qemu-vm.nix: 9p, mounted before activation; ``source`` may be a variable of the shell that starts the
    machine), ``services.openssh.hostKeys``, which agenix and sops-nix take their identities from as well.
    """
    return f"""\
# The virtual machine of {key.name} boots with the host key that the registry knows, {key.public.fingerprint}.
# The key stays out of the Nix store. Start the machine so:
#   {VM_VARIABLE}={folder / "etc/ssh"} ./result/bin/run-{key.name}-vm
{{ lib, ... }}:
{{
  virtualisation.vmVariant = {{
    virtualisation.sharedDirectories.secretsmith-host-key = {{
      source = ''"${VM_VARIABLE}"'';
      target = "{VM_FOLDER}";
    }};
    services.openssh.hostKeys = lib.mkForce [
      {{ type = "ed25519"; path = "{VM_FOLDER}/{KEY_NAME}"; }}
    ];
  }};
}}
"""


def _waits(host: Host) -> bool:
    return host.status is HostStatus.PENDING and not host.keys


def _has(host: Host, key: PublicKey) -> bool:
    return any(mine.fingerprint == key.fingerprint for mine in host.keys)


def _stored(project: Project, name: str, path: str) -> _Pair:
    private = show_secret(project, path)
    key = parse_ssh_private_key(private.expose())
    if not isinstance(key, SshPrivateKey) or key.kind is not KeyKind.ED25519:
        raise RefusedInput(
            Code.KEY_UNSUPPORTED,
            f"{path}: holds no unencrypted ed25519 key for {name}",
            hints=(f"look at it, and move it away: secretsmith mv {path} …",),
            path=path,
        )
    return _Pair(parse_public_key(f"{key.public.text} root@{name}"), private)


def _make(project: Project, name: str, path: str, accept: Sequence[str]) -> tuple[_Pair, tuple[str, ...]]:
    private, line = generate_ssh_key(f"root@{name}")
    # Without a rule of its own, check would ask forever who is to read it.
    to = () if wanted_readers(project.registry, path) else [user.name for user in project.registry.admins()]
    prepared = prepare_write(project, path, to=to, accept=accept)
    written = store_value(project, prepared, private)
    return _Pair(parse_public_key(line), private), written.notes


def _register(
    project: Project,
    host: Host | None,
    name: str,
    path: str,
    key: _Pair,
    *,
    made: bool,
    rekey: RekeyChoice | None,
    notes: tuple[str, ...],
) -> HostKey:
    public, private = key.public, key.private
    if host is None or _waits(host):
        added = add_host(project, name, public, rekey=rekey)
        return HostKey(
            name, path, public, private, made, added.outcome, added.changed, (), (*notes, *added.notes)
        )
    done = reprovision_host(project, name, public, reason=RetireReason.REPLACED, rekey=rekey)
    return HostKey(
        name, path, public, private, made, "replaced", done.changed, done.old, (*notes, *done.notes)
    )


def _refuse_other_readers(project: Project, name: str, path: str) -> None:
    """Whoever reads this file can be the host: everybody who is no admin is refused, the host itself above all."""
    wanted = wanted_by(project, path)
    admins = {user.name for user in project.registry.admins()}
    for reader in (*wanted.names, *wanted.pending):
        if reader in admins:
            continue
        why = ", ".join(wanted.why.get(reader, ())) or "a rule"
        raise RefusedInput(
            Code.KEY_PRIVATE,
            f"{path}: {reader} would read the private host key of {name} ({why})",
            hints=(
                f"let the pattern of that rule leave out {project.registry.secrets}/hosts/: in secretsmith.toml,"
                " or with revoke and grant",
            ),
            path=path,
        )


def _has_another(name: str, host: Host | None, stored: _Pair | None) -> RefusedInput:
    keys = ", ".join(key.fingerprint for key in host.keys) if host is not None else ""
    if host is not None and not host.keys and not _waits(host):
        has = f"{name} is registered as {host.status}"
    elif keys:
        has = f"{name} is registered with the key {keys}, whose private half is not stored here"
    else:
        has = f"{name}: the stored key was in use before, and does not come back"
    if stored is not None and keys:
        has += f" (what is stored is {stored.public.fingerprint})"
    return RefusedInput(
        Code.EXISTS, has, hints=(f"to give it a new one: secretsmith host keygen {name} --replace",)
    )


__all__ = [
    "KEY_PLACE",
    "HostKey",
    "check_folder",
    "cloud_config",
    "host_keygen",
    "host_secret",
    "installer_folder",
    "vm_module",
    "write_cloud_config",
    "write_key",
]
