"""The ssh connection of a deploy: as the user's own configuration leads there, but for whom it trusts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import Code, RemoteFailure
from secretsmith.operations.deploy.connection import HELLO_SECONDS, Connection
from secretsmith.operations.deploy.refusals import ALIAS
from secretsmith.operations.sshclient import check_address
from secretsmith.store.scratch import scratch_folder, write_private

# One word for any shell that root may have: no newline, no $, no !. -I: nothing of the host's environment has a say; utf8:
# nor has its locale in how a file's name is written.
_START: Final = (
    "exec python3 -I -X utf8 -c 'import sys; b = sys.stdin.buffer; exec(b.read(int(b.readline())))'"
)
_OPTIONS: Final = (
    "BatchMode={batch}",
    "CheckHostIP=no",
    "ClearAllForwardings=yes",
    "ConnectTimeout=10",
    # A connection that is open already was made with whatever key its maker trusted.
    "ControlMaster=no",
    "ControlPath=none",
    "EscapeChar=none",
    "FingerprintHash=sha256",
    "ForwardAgent=no",
    "ForwardX11=no",
    "GSSAPIDelegateCredentials=no",
    "GlobalKnownHostsFile=/dev/null",
    "HostKeyAlgorithms=ssh-ed25519",
    f"HostKeyAlias={ALIAS}",
    "KnownHostsCommand=none",
    "LogLevel=INFO",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "ServerAliveInterval=15",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    "VerifyHostKeyDNS=no",
)


@contextmanager
def connected(
    name: str, address: str, keys: Sequence[PublicKey], environ: Mapping[str, str], *, asks: bool
) -> Iterator[Connection]:
    """Give a connection to ``address``, where one of ``keys`` has to answer. ``asks``: ssh may ask on the terminal.

    User, port, jump hosts and keys are those of the user's own ssh configuration; what it trusts is not.

    Raises:
        RefusedInput: USAGE, it is no address. RemoteFailure: SSH, there is no ssh.
    """
    place = check_address(address)
    with scratch_folder(environ) as folder:
        lines = "".join(f"{ALIAS} {key.text}\n" for key in keys)
        known = write_private(folder, "known_hosts", lines.encode())
        process = _ssh(place, known, environ, asks=asks)
        connection = Connection(name, place, process, None if asks else HELLO_SECONDS)
        try:
            yield connection
        except BaseException:
            connection.abandon()
            raise
        finally:
            connection.close()


def _ssh(place: str, known: Path, environ: Mapping[str, str], *, asks: bool) -> subprocess.Popen[bytes]:
    quoted = str(known).replace("%", "%%")
    options = [option.format(batch="no" if asks else "yes") for option in _OPTIONS]
    words = [word for option in (*options, f'UserKnownHostsFile="{quoted}"') for word in ("-o", option)]
    try:
        return subprocess.Popen(
            ["ssh", "-T", *words, "--", place, _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise RemoteFailure(Code.SSH, "ssh is not installed", hints=("install OpenSSH's client",)) from None
    except OSError as error:
        raise RemoteFailure(Code.SSH, f"ssh cannot be started: {error.strerror}") from None


__all__ = ["connected"]
