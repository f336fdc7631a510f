"""Unlocked private keys in the kernel's keyring, for a while: memory that is never swapped, gone when the time is up.

A key lies in the user keyring (@u), so that every terminal of the user finds it, with rights for its possessor alone: a
process of the same user that has linked that keyring. Linux system calls through libc (add_key(2), keyctl(2)); constants of
linux/keyctl.h. The time it ends stands in the description, as the kernel does not tell it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.record import record
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    import ctypes

MAX_SECONDS: Final = 24 * 3600

# (add_key, keyctl): arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h and the like
_NUMBERS: Final = {
    "x86_64": (248, 250),
    "aarch64": (217, 219),
    "riscv64": (217, 219),
    "loongarch64": (217, 219),
    "ppc64le": (269, 271),
    "s390x": (278, 280),
}
_REVOKE, _SETPERM, _DESCRIBE, _LINK, _UNLINK, _READ, _SET_TIMEOUT = 3, 5, 6, 8, 9, 11, 15
_PROCESS_KEYRING, _USER_KEYRING = -2, -4
# Possessor: view, read, write, search, link, setattr. Nobody else, not even another process of the user by number.
_PERMISSIONS: Final = 0x3F00_0000
_BUFFER: Final = 64 * 1024
_MOST: Final = 32767  # bytes in a key of type "user" (Linux: security/keys/user_defined.c, user_preparse)
_PREFIX: Final = "secretsmith:identity:"
_DESCRIPTION: Final = re.compile(
    rf"user;(\d+);\d+;[0-9a-f]+;{_PREFIX}(SHA256:[A-Za-z0-9+/]{{43}});(\d{{1,12}})"
)


@record
class HeldKey:
    """An unlocked key: the ``entry`` it is kept under, when it ends (seconds since 1970), the kernel's number of it."""

    entry: str
    until: int
    serial: int


def hold(entry: str, material: Sensitive, seconds: int) -> HeldKey:
    """Keep ``material`` under ``entry`` for ``seconds``, in place of what was there.

    Raises:
        SecretsmithError: UNSUPPORTED, this kernel or container has no keyring for us; NOSPC, the user's quota is used up.
        RefusedInput: TOO_BIG, more than the kernel keeps in one key.
    """
    if len(material.expose()) > _MOST:
        raise RefusedInput(
            Code.TOO_BIG,
            f"the kernel's keyring holds at most {_MOST} bytes a key, and this file holds more",
            hints=("the desktop's keyring instead: secretsmith identity remember",),
        )
    before = held()
    until = int(time.time()) + seconds
    serial = _add(f"{_PREFIX}{entry};{until}".encode(), material)
    try:
        # It is in this process's own keyring until it has its end: a kill leaves no key that stays.
        _keyctl(_SETPERM, serial, _PERMISSIONS)
        _keyctl(_SET_TIMEOUT, serial, seconds)
        _keyctl(_LINK, serial, _USER_KEYRING)
    except OSError as error:
        raise _unavailable(error) from None
    finally:
        _quietly(_UNLINK, serial, _PROCESS_KEYRING)
    for key in before:
        if key.entry == entry:
            # The kernel unlinks by description: one that ends in the same second has lost its link to the new key already.
            _end(key, linked=key.until != until)
    return HeldKey(entry, until, serial)


def held() -> tuple[HeldKey, ...]:
    """Return the keys that are held now, those that end last first; reads no private half.

    Raises:
        SecretsmithError: UNSUPPORTED.
    """
    try:
        # Rights belong to the possessor, and not every session has the user keyring in its own.
        _keyctl(_LINK, _USER_KEYRING, _PROCESS_KEYRING)
        numbers = memoryview(_read(_USER_KEYRING)).cast("i").tolist()
    except OSError as error:
        raise _unavailable(error) from None
    found = [key for key in map(_described, numbers) if key is not None]
    return tuple(sorted(found, key=lambda key: -key.until))


def take(entry: str) -> Sensitive | None:
    """Return what is kept under ``entry``, None when there is nothing (any more).

    Raises:
        SecretsmithError: UNSUPPORTED.
    """
    for key in held():
        if key.entry == entry:
            try:
                return Sensitive(_read(key.serial))
            except OSError:
                continue  # its time was up just now
    return None


def drop(entry: str | None = None) -> int:
    """End the key kept under ``entry``, or all; return how many there were.

    Raises:
        SecretsmithError: UNSUPPORTED.
    """
    keys = [key for key in held() if entry in (None, key.entry)]
    for key in keys:
        _end(key)
    return len(keys)


def _end(key: HeldKey, *, linked: bool = True) -> None:
    # Revoking frees the private half at once, whoever else has a link to it.
    _quietly(_REVOKE, key.serial)
    if linked:
        _quietly(_UNLINK, key.serial, _USER_KEYRING)


def _described(serial: int) -> HeldKey | None:
    buffer = _buffer()
    try:
        length = _keyctl(_DESCRIBE, serial, buffer, len(buffer))
    except OSError:
        return None  # expired, revoked, or not ours to see
    text = buffer.raw[: max(0, length - 1)].decode("utf-8", "replace")
    match = _DESCRIPTION.fullmatch(text)
    if match is None or int(match[1]) != os.geteuid():
        return None
    return HeldKey(match[2], int(match[3]), serial)


def _read(serial: int) -> bytes:
    import ctypes

    buffer = _buffer()
    try:
        length = _keyctl(_READ, serial, buffer, len(buffer))
        return buffer.raw[: min(length, len(buffer))]
    finally:
        ctypes.memset(buffer, 0, len(buffer))


def _buffer() -> ctypes.Array[ctypes.c_char]:
    import ctypes  # costs start-up time, for those alone who have a key with a passphrase

    return ctypes.create_string_buffer(_BUFFER)


def _add(description: bytes, material: Sensitive) -> int:
    payload = material.expose()
    try:
        return _call(0, b"user", description, payload, len(payload), _PROCESS_KEYRING)
    except OSError as error:
        raise _unavailable(error) from None


def _keyctl(operation: int, *arguments: Any) -> int:
    return _call(1, operation, *arguments)


def _quietly(operation: int, *arguments: int) -> None:
    try:
        _keyctl(operation, *arguments)
    except OSError:
        return  # it is gone already


def _call(which: int, *arguments: Any) -> int:
    """Call add_key (0) or keyctl (1); OSError as the kernel says, ENOSYS on a machine whose numbers are not known."""
    import ctypes
    import errno

    numbers = _NUMBERS.get(os.uname().machine) if sys.maxsize > 2**32 else None
    if numbers is None or not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    # A variadic function: every number goes as a whole register.
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result: int = libc.syscall(ctypes.c_long(numbers[which]), *words)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _unavailable(error: OSError) -> SecretsmithError:
    import errno

    if error.errno in (errno.EDQUOT, errno.ENOMEM):
        return SecretsmithError(
            Code.NOSPC,
            "the kernel's keyring is full for this user",
            hints=(
                "see what is in it: keyctl show @u",
                "give back what is unlocked: secretsmith identity lock",
            ),
        )
    reason = os.strerror(error.errno or 0).lower()
    return SecretsmithError(
        Code.UNSUPPORTED,
        f"the kernel's keyring cannot be used here: {reason}",
        hints=("containers often forbid it; the desktop's keyring instead: secretsmith identity remember",),
    )


__all__ = ["MAX_SECONDS", "HeldKey", "drop", "held", "hold", "take"]
