"""What ssh's last words mean, when no host answered: who showed another key, who is not there, who lets nobody in."""

from __future__ import annotations

import re
import shlex
from typing import Final

from secretsmith.errors import Code, HostKeyChanged, RemoteFailure, SecretsmithError
from secretsmith.operations.deploy.facts import clipped

# What the host is called in the known_hosts of a deploy; a jump host, whose ssh writes to the same place, has its own name.
ALIAS: Final = "secretsmith-deploy"
_OTHER_KEY: Final = f"Host key for {ALIAS} has changed"
_NO_SUCH_KEY: Final = "no matching host key type found"
_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_NO_PROGRAM: Final = (126, 127)
_SSH_ITSELF: Final = 255


def ssh_failure(name: str, address: str, status: int, errors: str, aside: str = "") -> SecretsmithError:
    """Return the error for a connection that ended before the host's first word.

    ``errors`` is what ssh wrote, in English; ``aside`` the last that the host itself printed.
    """
    if _OTHER_KEY in errors or _NO_SUCH_KEY in errors:
        return _other_key(name, errors)
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    last = clipped(lines[-1] if lines else aside or "no reason given")
    if "Permission denied (" in errors:
        return RemoteFailure(
            Code.SSH,
            f"{name}: ssh is not let in: {last}",
            hints=(
                "it has to be root's door: in ~/.ssh/config, for this host, User root and IdentityFile",
                f"ssh -v {shlex.quote(address)}",
            ),
        )
    if status in _NO_PROGRAM:
        return SecretsmithError(
            Code.UNSUPPORTED,
            f"{name}: python3 does not run there: {last}",
            hints=("there, as root: apt install python3 (Debian, Ubuntu), pacman -S python (Arch)",),
        )
    if "Bad configuration option" in errors:
        return RemoteFailure(
            Code.SSH, f"{name}: {last}", hints=("OpenSSH 8.5 or newer is needed here: ssh -V",)
        )
    if status != _SSH_ITSELF:
        # Images of clouds do that: 'Please login as the user "debian" rather than the user "root"'.
        return RemoteFailure(
            Code.SSH,
            f"{name}: the session ended before anything ran: {clipped(aside) or last}",
            hints=(
                "root has to get a shell there: look at /root/.ssh/authorized_keys and at root's line in /etc/passwd",
                f"ssh {shlex.quote(address)} true",
            ),
        )
    return RemoteFailure(
        Code.SSH,
        f"{name}: {last}",
        hints=(f"is it up, and is this its address? ssh -v {shlex.quote(address)}",),
    )


def _other_key(name: str, errors: str) -> HostKeyChanged:
    found = _FINGERPRINT.search(errors)
    what = f"the key {found[0]}" if found else "no ed25519 key" if _NO_SUCH_KEY in errors else "another key"
    return HostKeyChanged(
        Code.HOST_KEY,
        f"{name} answers with {what}, not with the one it is registered with: nothing was sent",
        hints=(
            f"if it was reinstalled: secretsmith host reprovision {name} --scan",
            "if not, somebody else may be answering in its place",
        ),
    )


__all__ = ["ALIAS", "ssh_failure"]
