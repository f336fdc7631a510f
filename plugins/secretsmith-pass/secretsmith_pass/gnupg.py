"""The person's own gpg, called directly: what it found out is read from its status lines, never from its messages.

Status lines (GnuPG: doc/DETAILS) are not translated. ``pass show`` would say "No secret key" of a locked key, and print a
drawing of a folder with exit code 0. One gpg runs at a time: its agent answers one question after the other anyway.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, NotFound, RefusedInput, SecretsmithError
from secretsmith.plugin.api import Completed, PluginContext
from secretsmith.sensitive import Sensitive
from secretsmith_pass.stores import MAX_ENTRY_BYTES

_SILENT_SECONDS: Final = 30.0
_ASKING_SECONDS: Final = 180.0  # time enough to find a card and type its PIN
# No --quiet: with it gpg leaves out the ERROR line that says why a key could not be used.
_COMMON: Final = ("--batch", "--yes", "--no-tty", "--logger-file", os.devnull, "--status-fd", "2")
# A hostile entry must not make us speak to key servers.
_OFFLINE: Final = ("--no-auto-key-retrieve", "--no-auto-key-locate", "--disable-dirmngr")
_STATUS = re.compile(r"^\[GNUPG:\] ([A-Z_0-9]+)(?: (.*))?$", re.MULTILINE)
# The low 16 bits of an error number are its code, whatever part of GnuPG it comes from (libgpg-error: gpg-error.h).
_CODE_MASK: Final = 0xFFFF
_BAD_PASSPHRASE: Final = 11
_CANCELED: Final = (99, 198)
_NO_PINENTRY: Final = (85, 86, 177)
_TIMEOUT: Final = 62


def decrypt(data: bytes, shown: str, context: PluginContext) -> Sensitive:
    """Return what the OpenPGP message ``data`` holds; ``shown`` names it in messages.

    On a terminal pinentry may ask; without one only a key without a passphrase, or one that the agent knows, opens it.

    Raises:
        CannotDecrypt: NO_IDENTITY, the secret key is not here; PASSPHRASE, it is locked, or the passphrase wrong.
        IntegrityFailure: CIPHERTEXT, the message is damaged, or its signature is bad.
        RefusedInput: TOO_BIG.
        NotFound: no gpg.
        SecretsmithError: PLUGIN_TIMEOUT.
    """
    asking = context.interaction.available
    words = (*_OFFLINE, *(() if asking else ("--pinentry-mode", "error")))
    done = _gpg((*words, "--max-output", str(MAX_ENTRY_BYTES), "--decrypt"), Sensitive(data), context)
    found = _statuses(done)
    if done.status == 0 and "DECRYPTION_OKAY" in found:
        return done.output
    if "DECRYPTION_OKAY" in found:
        return _complete(done, found, shown)
    raise _not_opened(found, shown, asking)


def _complete(done: Completed, found: Mapping[str, list[str]], shown: str) -> Sensitive:
    """Return what was decrypted though gpg ended with an error, if that is certainly all of it.

    gpg does so when an earlier secret key did not fit a message that hides its readers, and for a signature by a key that is
    not here; pass minds neither.
    """
    if len(done.output) >= MAX_ENTRY_BYTES:
        raise RefusedInput(Code.TOO_BIG, f"{shown}: larger than {MAX_ENTRY_BYTES >> 20} MiB")
    if (
        "GOODMDC" in found
        and "BADSIG" not in found
        and found.get("PLAINTEXT_LENGTH") == [str(len(done.output))]
    ):
        return done.output
    raise IntegrityFailure(Code.CIPHERTEXT, f"{shown}: gpg opens the entry, and finds it damaged")


def keys_here(data: bytes, context: PluginContext) -> frozenset[str]:
    """Return the keys that ``data`` is encrypted to and whose secret halves are here; nothing is decrypted, nobody asked.

    Empty when that cannot be said: a message may hide whom it is for.
    """
    found = _statuses(_gpg((*_OFFLINE, "--list-only", "--decrypt"), Sensitive(data), context))
    keys = frozenset(_keys(found.get("ENC_TO", ())))
    if any(not key.strip("0") for key in keys):
        return frozenset()
    return keys - {*_keys(found.get("NO_SECKEY", ()))}


def _gpg(words: Sequence[str], data: Sensitive, context: PluginContext) -> Completed:
    seconds = _ASKING_SECONDS if context.interaction.available else _SILENT_SECONDS
    own = context.environ.get("PASSWORD_STORE_GPG_OPTS", "").split()  # as pass does, without quotes
    try:
        return context.run(
            ["gpg", *own, *_COMMON, *words],
            stdin=data,
            timeout=seconds,
            environ=_environ(context.environ),
        )
    except NotFound:
        raise NotFound(Code.NOT_FOUND, "there is no gpg on this computer", hints=("install GnuPG",)) from None


def _environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What gpg is told besides: where the person is, as its standard input is a pipe."""
    changes = {"LC_ALL": "C.UTF-8"}  # not C, which spoils names of files
    # pass itself exports this text where there is none.
    if environ.get("GPG_TTY", "not a tty") == "not a tty" and (terminal := _terminal()):
        changes["GPG_TTY"] = terminal
    return changes


def _terminal() -> str | None:
    for descriptor in (0, 1, 2):
        try:
            return os.ttyname(descriptor)
        except OSError:
            continue
    return None


def _statuses(done: Completed) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word, rest in _STATUS.findall(done.errors):
        found.setdefault(word, []).append(rest)
    return found


def _not_opened(found: Mapping[str, list[str]], shown: str, asking: bool) -> SecretsmithError:
    keys = _keys(found.get("ENC_TO", ()))
    if not keys or "DECRYPTION_KEY" in found:
        # gpg could not read whom it is for, or had a secret key for it.
        return IntegrityFailure(Code.CIPHERTEXT, f"{shown}: the entry is damaged, or no OpenPGP message")
    codes = _error_codes(found.get("ERROR", ()))
    if _BAD_PASSPHRASE in codes:
        return CannotDecrypt(Code.PASSPHRASE, f"{shown}: wrong passphrase for the gpg key {keys[0]}")
    if codes.intersection(_CANCELED):
        return CannotDecrypt(Code.PASSPHRASE, f"{shown}: the question for the passphrase was cancelled")
    missing = _keys(found.get("NO_SECKEY", ()))
    present = [key for key in keys if key not in missing]
    if "pkdecrypt_failed" in " ".join(found.get("ERROR", ())) or present:
        return _locked(
            shown, (present or keys)[0], asking, bool(codes.intersection((*_NO_PINENTRY, _TIMEOUT)))
        )
    return CannotDecrypt(
        Code.NO_IDENTITY,
        f"{shown}: encrypted to the gpg keys {', '.join(keys)}, and none of their secret keys is here",
        hints=("gpg --list-secret-keys; GNUPGHOME names the folder of your keys",),
    )


def _locked(shown: str, key: str, asking: bool, no_pinentry: bool) -> CannotDecrypt:
    if asking and no_pinentry:
        hint = "gpg's pinentry could not ask: export GPG_TTY=$(tty), and look at gpg-agent.conf"
    else:
        hint = f"run this on a terminal, or unlock the key first: pass show {shlex.quote(shown.partition(':')[2])}"
    return CannotDecrypt(Code.PASSPHRASE, f"{shown}: the gpg key {key} is locked", hints=(hint,))


def _keys(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(line.split()[0] for line in lines if line))


def _error_codes(lines: Iterable[str]) -> set[int]:
    """The error codes of lines ``WHERE NUMBER``."""
    numbers = [word for line in lines for word in line.split()[1:2]]
    return {int(number) & _CODE_MASK for number in numbers if number.isascii() and number.isdigit()}


def encrypt(entry: Sensitive, readers: Sequence[str], shown: str, context: PluginContext) -> bytes:
    """Encrypt ``entry`` to the keys that ``readers`` name, in the words of a ``.gpg-id`` file.

    Raises:
        RefusedInput: KEY_UNSUPPORTED, a key is not here, not certified, expired or revoked.
        SecretsmithError: gpg failed otherwise.
    """
    words = [word for reader in readers for word in ("--recipient", reader)]
    options = (*_OFFLINE, "--compress-algo=none", "--no-encrypt-to", "--encrypt", *words)
    done = _gpg(options, entry, context)
    found = _statuses(done)
    if done.status == 0 and "END_ENCRYPTION" in found and not found.get("INV_RECP"):
        return done.output.expose()
    for line in found.get("INV_RECP", ()):
        number, _, reader = line.partition(" ")
        raise _unfit_reader(shown, int(number) if number.isdigit() else 0, reader)
    raise SecretsmithError(Code.PLUGIN_FAILED, f"{shown}: gpg could not encrypt it")


def _unfit_reader(shown: str, number: int, reader: str) -> RefusedInput:
    """Numbers of INV_RECP as in GnuPG: doc/DETAILS."""
    reasons = {
        1: ("is not in your keyring", f"gpg --import FILE, then gpg --lsign-key {reader}"),
        2: ("stands for more than one key", "name it in .gpg-id by its fingerprint"),
        3: ("cannot be encrypted to", f"gpg --list-keys {reader}"),
        4: ("is revoked", f"gpg --list-keys {reader}"),
        5: ("is expired", f"gpg --list-keys {reader}"),
        10: ("is not certified by you", f"compare its fingerprint, then: gpg --lsign-key {reader}"),
    }
    why, hint = reasons.get(number, ("cannot be used", f"gpg --list-keys {reader}"))
    return RefusedInput(Code.KEY_UNSUPPORTED, f"{shown}: the gpg key {reader} {why}", hints=(hint,))


def is_signed(signed: Path, signature: Path, keys: Sequence[str], context: PluginContext) -> bool:
    """Say whether ``signature`` is one of the file ``signed`` by a key of ``keys`` (fingerprints)."""
    done = _gpg((*_OFFLINE, "--verify", str(signature), str(signed)), Sensitive(b""), context)
    valid = [line.split() for line in _statuses(done).get("VALIDSIG", ())]
    # The signing key first, its primary key last (GnuPG: doc/DETAILS).
    return any(words and {words[0], words[-1]}.intersection(keys) for words in valid)


__all__ = ["decrypt", "encrypt", "is_signed", "keys_here"]
