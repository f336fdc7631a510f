"""What the ssh programs know of a host: where an address leads (``ssh -G``), and which key answers there (``ssh-keyscan``)."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from secretsmith.crypto.publickey import PublicKey, parse_public_key, require_host_key
from secretsmith.errors import Code, RefusedInput, RemoteFailure
from secretsmith.policy.words import shown
from secretsmith.record import record, replace

CONNECT_SECONDS: Final = 5.0
_RUN_SECONDS: Final = 30.0
_MAX_OUTPUT: Final = 256 * 1024
_MAX_ADDRESS: Final = 255
# What OpenSSH itself refuses from 9.6 on (CVE-2023-51385): a ProxyCommand or Match exec hands %h and %r to a shell.
_UNSAFE: Final = re.compile(r"[\s'`\"$\\;&<>|(){}\x00-\x1f\x7f]")
_HOST_AND_PORT: Final = re.compile(
    r"(?P<place>(?:[^@:]+@)?(?:[^@:\[\]]+|\[[0-9A-Fa-f:.%]+\])):(?P<port>[0-9]{1,5})"
)
_FAMILY: Final = {"inet": ("-4",), "inet6": ("-6",)}


@record
class Route:
    """Where an address leads, by the ssh configuration of whoever asks.

    ``alias`` is HostKeyAlias. ``known_hosts`` are the user's files, ``global_known_hosts`` the machine's. ``hashed``: names
    in them are written as digests. ``jump`` is ProxyJump, ``proxy`` ProxyCommand: such a host is not reached directly.
    """

    address: str
    host: str
    port: int = 22
    alias: str | None = None
    family: str = "any"
    known_hosts: tuple[Path, ...] = ()
    global_known_hosts: tuple[Path, ...] = ()
    hashed: bool = False
    jump: str | None = None
    proxy: str | None = None

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        return f"{self.host} port {self.port}"

    @property
    def known_name(self) -> str:
        """What ssh looks the host up by in known_hosts."""
        if self.alias is not None:
            return self.alias.lower()
        host = self.host.lower()
        return host if self.port == 22 else f"[{host}]:{self.port}"


def check_address(address: str) -> str:
    """Return ``address`` as ssh takes it; HOST:PORT becomes ``ssh://HOST:PORT``.

    Raises:
        RefusedInput: USAGE. An address comes from the registry, which others write: one that starts with ``-`` would be an
            option of ssh, and some characters would be a shell's in the user's own ssh configuration.
    """
    bare = address.removeprefix("ssh://")
    words = bare.rsplit("@", 1)
    if (
        not address
        or len(address) > _MAX_ADDRESS
        or not address.isprintable()
        or _UNSAFE.search(address)
        or any(not word or word.startswith("-") for word in words)
    ):
        raise RefusedInput(
            Code.USAGE,
            f"{shown(address)} is no address",
            hints=("an address is what ssh takes: an alias, HOST, USER@HOST or HOST:PORT",),
        )
    match = _HOST_AND_PORT.fullmatch(address)
    return f"ssh://{address}" if match else address


def resolve(address: str, environ: Mapping[str, str]) -> Route:
    """Ask ``ssh -G`` where ``address`` leads.

    Raises:
        RefusedInput: USAGE, it is no address.
        RemoteFailure: SSH, there is no ssh, or its configuration is not valid.
    """
    status, output, errors = _run(["ssh", "-G", "--", check_address(address)], environ)
    settings = _settings(output)
    host, port = settings.get("hostname", ""), settings.get("port", "")
    if status != 0 or not host or not port.isdigit():
        lines = [line for line in errors.splitlines() if line.strip()]
        raise RemoteFailure(
            Code.SSH,
            f"ssh cannot tell where {shown(address)} leads: {lines[0] if lines else 'no reason given'}",
            hints=(f"ssh -G {address}",),
        )
    check_address(host)
    return Route(
        address,
        host,
        int(port),
        alias=_named(settings, "hostkeyalias"),
        family=settings.get("addressfamily", "any"),
        known_hosts=tuple(_paths(settings.get("userknownhostsfile", ""))),
        global_known_hosts=tuple(_paths(settings.get("globalknownhostsfile", ""))),
        hashed=settings.get("hashknownhosts") == "yes",
        jump=_named(settings, "proxyjump"),
        proxy=_named(settings, "proxycommand"),
    )


def host_key_of(route: Route, name: str, environ: Mapping[str, str]) -> PublicKey:
    """Return the ed25519 host key that answers; its comment is ``root@NAME``. Nothing proves yet whose it is.

    Raises:
        RemoteFailure: SSH, it is reached through another host, nothing answers, or it has no ed25519 key.
    """
    if route.jump is not None or route.proxy is not None:
        raise _not_direct(route, name)
    found = scanned_keys(route, environ)
    if "ssh-ed25519" not in found:
        # ssh-keyscan does not tell "nobody there" from "no such key", and takes the first address of a name only.
        peer = _connect(route)
        found = scanned_keys(replace(route, host=peer), environ, kinds="ed25519,rsa,ecdsa")
    line = found.get("ssh-ed25519")
    if line is None:
        raise _no_ed25519(route, name, sorted(found))
    key = parse_public_key(f"{line} root@{name}")
    require_host_key(key, name)
    return key


def scanned_keys(
    route: Route, environ: Mapping[str, str], *, kinds: str = "ed25519", seconds: float = CONNECT_SECONDS
) -> dict[str, str]:
    """Return the key lines (``TYPE BASE64``) by type that ssh-keyscan gets; empty when nothing answers.

    Raises:
        RemoteFailure: SSH, there is no ssh-keyscan.
    """
    options = [*_FAMILY.get(route.family, ()), "-T", str(int(seconds)), "-t", kinds, "-p", str(route.port)]
    _, output, _ = _run(["ssh-keyscan", *options, "--", route.host], environ)
    found: dict[str, str] = {}
    for line in output.splitlines():
        words = line.split()
        if len(words) == 3 and not line.startswith("#"):
            found.setdefault(words[1], f"{words[1]} {words[2]}")
    return found


def _connect(route: Route) -> str:
    """Return the address of whoever accepts a connection; RemoteFailure with the reason when nobody does."""
    try:
        with socket.create_connection((route.host, route.port), CONNECT_SECONDS) as connection:
            return str(connection.getpeername()[0])
    except (socket.gaierror, UnicodeError):
        why, hint = "no such host name is known", f"give its address: --scan ADDRESS (ssh -G {route.address})"
    except ConnectionRefusedError:
        why, hint = "connection refused", "does sshd run there, and on this port? --scan HOST:PORT"
    except TimeoutError:
        why, hint = f"no answer in {CONNECT_SECONDS:g} s", "is it up, and does a firewall let ssh through?"
    except OSError as error:
        why, hint = (error.strerror or "cannot be reached").lower(), "is it up, and are you in its network?"
    raise RemoteFailure(Code.SSH, f"{route.place}: {why}", hints=(hint,))


def _no_ed25519(route: Route, name: str, kinds: Sequence[str]) -> RemoteFailure:
    if not kinds:
        return RemoteFailure(
            Code.SSH,
            f"{route.place}: something answers, but it is no ssh server, or it hung up",
            hints=("is this the port of sshd? --scan HOST:PORT", f"ssh -v {route.address}"),
        )
    return RemoteFailure(
        Code.SSH,
        f"{route.place}: has no ed25519 host key, only {', '.join(kinds)}; hosts read secrets with ed25519 alone",
        hints=(
            f"on {name}, as root: ssh-keygen -A makes the missing key; then restart sshd"
            " (if sshd_config has HostKey lines: add /etc/ssh/ssh_host_ed25519_key)",
        ),
    )


def _not_direct(route: Route, name: str) -> RemoteFailure:
    through = f"through {shown(route.jump)}" if route.jump is not None else "by a ProxyCommand"
    hints = [
        f"if ssh knows it: ssh {route.address} cat /etc/ssh/ssh_host_ed25519_key.pub"
        f" | secretsmith host add {name} --key-file -"
    ]
    if route.jump is not None:
        last = route.jump.rpartition(",")[2]
        hints.append(f"else from there: ssh {last} ssh-keyscan -t ed25519 -p {route.port} {route.host}")
        hints.append(f'and: secretsmith host add {name} --key "ssh-ed25519 …"')
    return RemoteFailure(
        Code.SSH, f"{route.place}: ssh reaches it {through}, and it cannot be scanned from here", hints=hints
    )


def _settings(output: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in output.splitlines():
        word, _, value = line.partition(" ")
        found.setdefault(word.lower(), value.strip())
    return found


def _named(settings: Mapping[str, str], word: str) -> str | None:
    value = settings.get(word, "none")
    return None if value in ("", "none") else value


def _paths(value: str) -> Iterator[Path]:
    """Split what ``ssh -G`` prints without quotes: a part that does not begin a path belongs to the one before."""
    parts: list[str] = []
    for word in value.split(" "):
        if not parts or word.startswith(("/", "~")) or word == "none":
            parts.append(word)
        else:
            parts[-1] += f" {word}"
    for part in parts:
        if part.startswith(("/", "~/")) and part != "/dev/null":
            yield Path(part).expanduser()


def _run(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a program of OpenSSH without a terminal; return its status and the beginning of what it wrote."""
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environ, "LC_ALL": "C"},
            # A session of its own: no questions on our terminal, and a timeout reaches the children too.
            start_new_session=True,
        )
    except FileNotFoundError:
        hints = ("install OpenSSH's client, or give the key: --key",)
        raise RemoteFailure(Code.SSH, f"{argv[0]} is not installed", hints=hints) from None
    except OSError as error:
        raise RemoteFailure(Code.SSH, f"{argv[0]} cannot be started: {error.strerror}") from None
    try:
        output, errors = _collect(process)
        return (
            process.wait(_RUN_SECONDS),
            output.decode("utf-8", "replace"),
            errors.decode("utf-8", "replace"),
        )
    except (subprocess.TimeoutExpired, TimeoutError):
        raise RemoteFailure(Code.SSH, f"{argv[0]} did not end in {_RUN_SECONDS:g} s") from None
    finally:
        _end(process)


def _collect(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Read both streams to the end, dropping what is beyond the limit; TimeoutError after 30 s."""
    assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018  (PIPE was given)
    read = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    streams = list(read)
    deadline = time.monotonic() + _RUN_SECONDS
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if not ready and time.monotonic() >= deadline:
                raise TimeoutError
            for key, _ in ready:
                part = os.read(key.fd, 65536)
                if not part:
                    selector.unregister(key.fd)
                read[key.fd] = (read[key.fd] + part)[:_MAX_OUTPUT]
    return read[streams[0]], read[streams[1]]


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


__all__ = ["CONNECT_SECONDS", "Route", "check_address", "host_key_of", "resolve", "scanned_keys"]
