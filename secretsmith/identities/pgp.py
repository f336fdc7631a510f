"""Data keys under PGP, opened by the user's own ``gpg``, so that documents of sops under PGP can be read and moved to age.

The message goes in and the data key comes out through pipes: nothing is written to a file. gpg finds its keys as ever
($GNUPGHOME, its agent, cards); which program that is $SOPS_GPG_EXEC may say, as with sops (pgp/keysource.go). What gpg found
out is taken from its status lines (GnuPG: doc/DETAILS), never from texts that are meant for people.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Final

from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, RefusedInput, SecretsmithError
from secretsmith.sensitive import Sensitive

VARIABLE: Final = "SOPS_GPG_EXEC"
MAX_MESSAGE: Final = 64 * 1024  # that of a 4096 bit RSA key is 1.2 KiB
MAX_OUTPUT: Final = 1024  # a data key has 32 bytes, a group's part of one 33
_MAX_STATUS: Final = 256 * 1024
TIMEOUT_SECONDS: Final = 30.0
ASKING_SECONDS: Final = 120.0  # time enough to find a card and type its PIN

_ARMOR: Final = b"-----BEGIN PGP MESSAGE-----"
# --no-auto-key-retrieve, --disable-dirmngr: a hostile message must not make us speak to key servers.
_OPTIONS: Final = ("--quiet", "--no-auto-key-retrieve", "--disable-dirmngr", "--logger-file", os.devnull)
# Without a terminal nothing is asked, not even by a window that pops up somewhere: a key without a passphrase, or one that
# the agent still knows, opens the message, any other does not.
_SILENT: Final = ("--batch", "--no-tty", "--pinentry-mode", "error")
_STATUS = re.compile(rb"^\[GNUPG:\] ([A-Z_]+)(?: ([0-9A-F]{16,64})\b)?", re.MULTILINE)


def pgp_opener(environ: Mapping[str, str], *, ask: bool | None = None) -> Callable[[bytes], Sensitive] | None:
    """Give what opens an armored PGP message with the secret keys of ``environ``'s user; None where there is no gpg.

    ``ask``: gpg may ask for a passphrase, once an agent's memory allows; by default when there is a terminal. Nothing is run
    before a message is to be opened. What is given raises:

        CannotDecrypt: NO_IDENTITY, the secret key is not here or locked; the message names PGP and the key.
        IntegrityFailure: CIPHERTEXT, the message is damaged.
        RefusedInput: FORMAT, TOO_BIG: it is no such message.
    """
    program = shutil.which(environ.get(VARIABLE) or "gpg", path=environ.get("PATH", os.defpath))
    if program is None:
        return None
    asking = _terminal() is not None if ask is None else ask
    hung: list[CannotDecrypt] = []

    def opened(message: bytes) -> Sensitive:
        if hung:
            # It would not answer the next time either, and a document may have many messages.
            raise CannotDecrypt(hung[0].code, hung[0].message)
        try:
            return _open(program, message, environ, asking)
        except _Hung as error:
            hung.append(error)
            raise

    return opened


class _Hung(CannotDecrypt):
    """gpg did not answer in time."""


def _terminal() -> str | None:
    for descriptor in (0, 1, 2):
        try:
            return os.ttyname(descriptor)
        except OSError:
            continue
    return None


def _open(program: str, message: bytes, environ: Mapping[str, str], ask: bool) -> Sensitive:
    if not message.lstrip().startswith(_ARMOR):
        raise RefusedInput(Code.FORMAT, "a stanza for a PGP key is no PGP message")
    if len(message) > MAX_MESSAGE:
        raise RefusedInput(Code.TOO_BIG, f"a PGP message of more than {MAX_MESSAGE >> 10} KiB")
    arguments = [program, *_OPTIONS, *(() if ask else _SILENT), "--status-fd", "2", "--decrypt"]
    # Our standard input is a pipe to gpg, so that only this variable tells pinentry where the person is.
    known = environ if environ.get("GPG_TTY") or not ask else {**environ, "GPG_TTY": _terminal() or ""}
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(known),
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be run"
        raise CannotDecrypt(
            Code.NO_IDENTITY, f"PGP: {os.path.basename(program)} cannot be started: {reason.lower()}"
        ) from None
    try:
        output, status = _talk(process, message, ASKING_SECONDS if ask else TIMEOUT_SECONDS)
    finally:
        _end(process)
    found = {word.decode(): key.decode() for word, key in _STATUS.findall(status)}
    if process.returncode == 0 and "DECRYPTION_OKAY" in found:
        return Sensitive(output)
    raise _failed(found)


def _talk(process: subprocess.Popen[bytes], message: bytes, seconds: float) -> tuple[bytes, bytes]:
    """Write ``message``, read output and status until both end; CannotDecrypt at the deadline."""
    import selectors  # only for documents under PGP

    pipes = (process.stdin, process.stdout, process.stderr)
    (stdin, stdout, stderr) = (pipe for pipe in pipes if pipe is not None)
    deadline = time.monotonic() + seconds
    output, status = bytearray(), bytearray()
    os.set_blocking(stdin.fileno(), False)
    with selectors.DefaultSelector() as waiting:
        waiting.register(stdin, selectors.EVENT_WRITE)
        waiting.register(stdout, selectors.EVENT_READ, (output, MAX_OUTPUT))
        waiting.register(stderr, selectors.EVENT_READ, (status, _MAX_STATUS))
        while waiting.get_map():
            ready = waiting.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise _hung(seconds)
            for entry, _ in ready:
                if entry.data is not None:
                    done = _read(entry.fd, *entry.data)
                else:
                    message = _write(entry.fd, message)
                    done = not message
                if done:
                    waiting.unregister(entry.fileobj)
                if done and entry.data is None:
                    stdin.close()
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise _hung(seconds) from None
    return bytes(output), bytes(status)


def _read(descriptor: int, into: bytearray, limit: int) -> bool:
    """Read what is there; say whether it was the end."""
    part = os.read(descriptor, 65536)
    into += part
    if len(into) > limit:
        raise IntegrityFailure(Code.CIPHERTEXT, "a PGP message holds more than a data key")
    return not part


def _write(descriptor: int, message: bytes) -> bytes:
    """Write what fits; return the rest."""
    try:
        return message[os.write(descriptor, message) :]
    except BlockingIOError:
        return message
    except BrokenPipeError:
        return b""  # gpg has seen enough, and says why


def _hung(seconds: float) -> _Hung:
    return _Hung(Code.NO_IDENTITY, f"PGP: gpg did not answer within {seconds:g} seconds")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _failed(found: Mapping[str, str]) -> SecretsmithError:
    """Say why gpg gave no data key, by the status lines it wrote: word → the key they name."""
    key = found.get("KEY_CONSIDERED") or found.get("ENC_TO") or "unknown"
    if "ENC_TO" not in found or "DECRYPTION_KEY" in found:
        # gpg had a secret key for it, or could not even read whom it is for.
        return IntegrityFailure(Code.CIPHERTEXT, "a PGP message is damaged")
    # Only of a key whose secret half is here does gpg consider anything.
    if "KEY_CONSIDERED" in found and "NO_SECKEY" not in found:
        why = f"the secret key {key} is locked"
        hint = "run this on a terminal, or unlock the key first: gpg --decrypt any message for it"
    else:
        why = f"the secret key {key} is not here"
        hint = "GNUPGHOME names the folder with the keys of gpg; gpg --list-secret-keys lists them"
    return CannotDecrypt(Code.NO_IDENTITY, f"PGP: {why}", hints=(hint,))


__all__ = ["ASKING_SECONDS", "MAX_MESSAGE", "MAX_OUTPUT", "TIMEOUT_SECONDS", "VARIABLE", "pgp_opener"]
