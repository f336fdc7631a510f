"""Encrypting a value with a key of this machine, which is what ``systemd-creds encrypt`` does (systemd-creds(1))."""

from __future__ import annotations

import os

from secretsmith.activation.units.options import SEARCHED
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import CredentialKey
from secretsmith.sensitive import Sensitive

HOST_SECRET = "/var/lib/systemd/credential.secret"
_SEARCHED = SEARCHED
_SECONDS = 60.0  # a TPM may take a second or two, and be busy with others
_MAX_BYTES = 1024 * 1024  # CREDENTIAL_SIZE_MAX of systemd
_SHOWN = 200


def seal(value: Sensitive, name: str, key: CredentialKey) -> bytes:
    """Return ``value`` as the encrypted credential ``name``. The value is on the program's standard input alone.

    Raises:
        SecretsmithError: CREDENTIAL, there is no such program or key here, or the value is too large.
    """
    import subprocess  # only where there is something to encrypt

    if len(value) > _MAX_BYTES:
        raise _problem(f"a credential holds at most {_MAX_BYTES // 1024} KiB, and this is larger")
    program = next((path for path in _candidates() if os.access(path, os.X_OK)), None)
    if program is None:
        raise _problem(
            f"no systemd-creds in {':'.join(_SEARCHED)}",
            "it comes with systemd 250 and later; or leave out credential_key",
        )
    try:
        ended = subprocess.run(
            # Name and key have no blank and no dash at their beginning: the manifest was checked.
            [program, "encrypt", f"--with-key={key}", f"--name={name}", "-", "-"],
            input=value.expose(),
            capture_output=True,
            env={"PATH": ":".join(_SEARCHED), "LANG": "C.UTF-8", "SYSTEMD_COLORS": "0"},
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _problem(f"systemd-creds did not end within {_SECONDS:g} seconds") from None
    except OSError as error:
        raise _problem(f"{program}: {(error.strerror or 'cannot be started').lower()}") from None
    if ended.returncode != 0 or not ended.stdout:
        raise _problem(f"systemd-creds encrypt --with-key={key}: {_said(ended.stderr)}", *_hints(key))
    return ended.stdout


def _candidates() -> list[str]:
    return [f"{folder}/systemd-creds" for folder in _SEARCHED]


def _said(complaints: bytes) -> str:
    """Return its last line, which is why it failed. It never quotes what it encrypts."""
    lines = complaints.decode("ascii", "replace").strip().splitlines() or ["failed, and said nothing"]
    text = lines[-1][:_SHOWN].rstrip(".")
    return text if text[:3].isupper() else text[:1].lower() + text[1:]


def _hints(key: CredentialKey) -> tuple[str, ...]:
    return (
        ()
        if key is CredentialKey.HOST
        else ("systemd-creds has-tpm2 says what is missing; without a TPM the key is host",)
    )


def _problem(why: str, *hints: str) -> SecretsmithError:
    return SecretsmithError(Code.CREDENTIAL, why, hints=hints)


__all__ = ["HOST_SECRET", "seal"]
