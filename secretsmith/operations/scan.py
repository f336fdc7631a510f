"""A host key from the network, and everything at hand that speaks for or against it, before anybody trusts it."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from secretsmith.crypto.publickey import PublicKey, parse_public_key
from secretsmith.errors import Code, HostKeyChanged, NotFound, RefusedInput, RemoteFailure, SecretsmithError
from secretsmith.operations.changes import change_registry, check_new_name, refuse_foreign_key
from secretsmith.operations.hosts import known_host
from secretsmith.operations.knownhosts import KnownKey, known_keys, mended
from secretsmith.operations.sshclient import Route, check_address, host_key_of, resolve, scanned_keys
from secretsmith.policy import edit
from secretsmith.policy.principals import Host
from secretsmith.policy.registry import Registry
from secretsmith.policy.words import shown
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.store.atomic import read_file
from secretsmith.store.userfile import replace_user_file

OWN_KEYS: Final = Path("/etc/ssh")
OWN_SSHD: Final = ("127.0.0.1", 22)
_MAX_KEY_FILE: Final = 64 * 1024
_MAX_KNOWN_HOSTS: Final = 16 * 1024 * 1024
_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_ON_THE_CONSOLE: Final = "on its console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"


@record
class Scanned:
    """A key that answered. ``proven``: its fingerprint is one that was given. ``notes`` say what else is known of it.

    ``stale``: known_hosts has another key for the host.
    """

    name: str
    route: Route
    key: PublicKey
    proven: bool
    stale: bool
    notes: tuple[str, ...]


@record
class _Known:
    file: Path
    key: KnownKey

    @property
    def place(self) -> str:
        return f"{self.file}:{self.key.line}"


def scan_host(
    project: Project,
    name: str,
    address: str | None,
    *,
    replacing: bool,
    fingerprint: str | None = None,
    fix: bool = False,
) -> Scanned:
    """Ask the host ``name`` for its key, and compare it with all that is known here.

    ``address`` is where it is, by default the one in the registry, or its name. ``replacing``: a new key is expected.
    ``fingerprint`` is what somebody read elsewhere; ``fix``: known_hosts will be mended, and does not stop it.

    Raises:
        RefusedInput: NAME, USAGE; EXISTS, the key is this computer's own or that of another name in the registry.
        NotFound: there is no such host to replace the key of.
        RemoteFailure: as :func:`~secretsmith.operations.sshclient.host_key_of`.
        HostKeyChanged: HOST_KEY, it is not the key of ``fingerprint``, of the registry, or of known_hosts.
    """
    wanted = None if fingerprint is None else read_fingerprint(fingerprint)
    check_new_name(project.registry, name, "host")
    host = known_host(project.registry, name) if replacing else project.registry.hosts.get(name)
    route = resolve(address or (host.address if host is not None else None) or name, project.environ)
    key = host_key_of(route, name, project.environ)
    if wanted is not None and not hmac.compare_digest(wanted, key.fingerprint):
        raise _changed(route, key, f"and the fingerprint given is {wanted}", _ON_THE_CONSOLE)
    _refuse_own(name, key, route, project.environ)
    refuse_foreign_key(project.registry, key, name)
    notes = [f"{name}: {route.place} answers with the ed25519 key {key.fingerprint}"]
    notes += _compared_with_registry(host, key, route, replacing=replacing)
    stale, said = _compared_with_ssh(route, key, host, tolerant=replacing or fix or wanted is not None)
    notes += said
    if wanted is not None:
        notes.append("it is the fingerprint that you gave")
    elif not said:
        notes.append(f"nothing here has seen this key before; compare it with {name}, {_ON_THE_CONSOLE}")
    if stale and not fix:
        notes.append("known_hosts still has the old key: --fix-known-hosts replaces it")
    return Scanned(name, route, key, wanted is not None, stale, tuple(notes))


def read_fingerprint(text: str) -> str:
    """Return a fingerprint as ssh-keygen prints it; RefusedInput USAGE."""
    found = _FINGERPRINT.fullmatch(text.strip().rstrip("="))
    if found is None:
        raise RefusedInput(
            Code.USAGE,
            f"{shown(text)} is no fingerprint: SHA256: and 43 characters are wanted",
            hints=(_ON_THE_CONSOLE,),
        )
    return found[0]


def remember_address(project: Project, name: str, address: str) -> Project:
    """Write where a host that has keys is reached into the registry; return the project as it is then."""
    check_address(address)

    def change(registry: Registry, text: str) -> str:
        host = registry.hosts.get(name)
        if host is None or host.address == address or not host.keys:
            return text
        return edit.set_host_keys(text, name, [key.line for key in host.keys], address=address)

    return change_registry(project, change).project


def fix_known_hosts(scanned: Scanned, *, replacing: bool) -> tuple[str, ...]:
    """Give the host its new key in the user's known_hosts, and take away its others; return notes.

    ``replacing``: its old keys are of an installation that is gone. The key goes into the first of the user's files.

    Raises:
        SecretsmithError: ACCESS, NOSPC, IO; NOT_REGULAR; the registry is changed by then.
    """
    route = scanned.route
    if not route.known_hosts:
        return ("ssh is configured without a known_hosts of yours, so there is none to mend",)
    notes = []
    for number, path in enumerate(route.known_hosts):
        text = _text_of(path)
        if number > 0 and not known_keys(text, route.known_name):
            continue
        result = mended(
            text,
            route.known_name,
            scanned.key.text,
            replacing=replacing or scanned.stale,
            hashed=route.hashed,
        )
        if number > 0 and not result.removed:
            continue
        if result.text != text:
            replace_user_file(path, result.text.encode("utf-8", "surrogateescape"))
            gone = f", without {_lines(result.removed)}" if result.removed else ""
            notes.append(f"{path}: has the key {scanned.key.fingerprint} for {route.known_name}{gone}")
        notes += [f"{path}:{line}: a pattern; change it by hand" for line in result.left]
    return tuple(notes) or (f"known_hosts has the key {scanned.key.fingerprint} already",)


def _lines(numbers: tuple[int, ...]) -> str:
    return f"line{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _changed(route: Route, key: PublicKey, but: str, *hints: str) -> HostKeyChanged:
    return HostKeyChanged(
        Code.HOST_KEY, f"{route.place} answers with the key {key.fingerprint}, {but}", hints=hints
    )


def _refuse_own(name: str, key: PublicKey, route: Route, environ: Mapping[str, str]) -> None:
    """Refuse the key of the computer that this runs on, unless it is meant: a wrong port, or a clone of this machine."""
    here = os.uname().nodename
    if name in (here, here.partition(".")[0]):
        return
    if key.text not in _own_key_files() and key.text not in _own_answer(environ):
        return
    raise RefusedInput(
        Code.EXISTS,
        f"{route.place}: that is the machine you are on ({here}), not {name}: it answers with the host key of this machine",
        hints=(
            f"did you mean port 2222? --scan {route.host}:2222",
            f"if {name} is a clone of this machine: on {name}, remove /etc/ssh/ssh_host_* and run ssh-keygen -A",
        ),
    )


def _own_key_files() -> Iterator[str]:
    try:
        names = sorted(name for name in os.listdir(OWN_KEYS) if re.fullmatch(r"ssh_host_\w+_key\.pub", name))
    except OSError:
        return
    for name in names:
        try:
            text = read_file(OWN_KEYS / name, _MAX_KEY_FILE, follow=True).decode("ascii", "replace")
            yield parse_public_key(text.strip()).text
        except SecretsmithError:
            continue  # another type of key, or nothing for us to read


def _own_answer(environ: Mapping[str, str]) -> frozenset[str]:
    """Return what our own sshd answers: its keys may lie anywhere."""
    host, port = OWN_SSHD
    try:
        return frozenset(scanned_keys(Route(host, host, port), environ, seconds=2).values())
    except RemoteFailure:
        return frozenset()


def _compared_with_registry(
    host: Host | None, key: PublicKey, route: Route, *, replacing: bool
) -> Iterator[str]:
    if host is None or not host.keys:
        return
    if any(mine.fingerprint == key.fingerprint for mine in host.keys):
        yield f"{host.name}: this is the key that it has in the registry; it did not change"
        if replacing:
            yield f"if {host.name} was reinstalled, is {route.place} the right place to ask?"
    elif not replacing:
        known = ", ".join(mine.fingerprint for mine in host.keys)
        raise _changed(
            route,
            key,
            f"and {host.name} is registered with {known}",
            f"if it was reinstalled: secretsmith host reprovision {host.name} --scan",
            "if not, somebody else may be answering in its place",
        )


def _compared_with_ssh(
    route: Route, key: PublicKey, host: Host | None, *, tolerant: bool
) -> tuple[bool, list[str]]:
    """Say what known_hosts has of the host, and whether it has another key of it."""
    ours = {mine.text: mine.fingerprint for mine in host.keys} if host is not None else {}
    stale, notes = False, []
    for known in _known_to_ssh(route):
        if known.key.marker == "@revoked":
            if known.key.text == key.text:
                raise _changed(route, key, f"which {known.place} revokes", "this key is not to be trusted")
        elif known.key.marker or known.key.kind != "ssh-ed25519":
            continue
        elif known.key.text == key.text:
            notes.append(f"known to ssh as the same key ({known.place})")
        else:
            stale = True
            if not tolerant:
                raise _changed(
                    route,
                    key,
                    f"and {known.place} knows it by {known.key.fingerprint}",
                    f"if it was reinstalled, compare the new one with it {_ON_THE_CONSOLE}; then add"
                    " --fingerprint SHA256:…, or --fix-known-hosts",
                    "if not, somebody else may be answering in its place",
                )
            whose = ", its key in the registry" if known.key.text in ours else ""
            notes.append(f"{known.place} knows it by another key{whose}: {known.key.fingerprint}")
    return stale, notes


def _known_to_ssh(route: Route) -> Iterator[_Known]:
    for path in (*route.known_hosts, *route.global_known_hosts):
        for key in known_keys(_text_of(path), route.known_name):
            yield _Known(path, key)


def _text_of(path: Path) -> str:
    try:
        return read_file(path, _MAX_KNOWN_HOSTS, follow=True).decode("utf-8", "surrogateescape")
    except NotFound:
        return ""


__all__ = ["Scanned", "fix_known_hosts", "read_fingerprint", "remember_address", "scan_host"]
