"""Which format a file has, by its name, and whether it looks encrypted, by its first bytes."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """The formats of secret files. Binary is any file, kept by sops as JSON with one value."""

    AGE = "age"
    YAML = "yaml"
    JSON = "json"
    DOTENV = "dotenv"
    INI = "ini"
    BINARY = "binary"


# The suffixes of sops (sops: config/config.go, formats.FormatForPath), and age's own.
_SUFFIXES = {
    ".age": Format.AGE,
    ".yaml": Format.YAML,
    ".yml": Format.YAML,
    ".json": Format.JSON,
    ".env": Format.DOTENV,
    ".ini": Format.INI,
}

HEAD = 64 * 1024
"""How many bytes :func:`looks_encrypted` wants to see."""

_AGE_MAGIC = b"age-encryption.org/"
_AGE_ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_SOPS_VALUE = b"ENC[AES256_GCM,data:"
_SOPS_BLOCK = {
    Format.YAML: (b"\nsops:", b"sops:"),
    Format.JSON: (b'"sops":',),
    Format.BINARY: (b'"sops":',),
    Format.DOTENV: (b"\nsops_", b"sops_"),
    Format.INI: (b"\n[sops]", b"[sops]"),
}


def format_of(path: str) -> Format:
    """Tell the format of ``path`` by its suffix, as sops does: case matters, and anything else is binary."""
    name = path.rsplit("/", 1)[-1]
    for suffix, found in _SUFFIXES.items():
        if name.endswith(suffix):
            return found
    return Format.BINARY


def looks_encrypted(format: Format, head: bytes) -> bool:  # noqa: A002  # the word for it everywhere else
    """Say whether a file that begins with ``head`` (:data:`HEAD` bytes are enough) looks encrypted.

    Meant to find plaintext where a secret should be, so it says yes only to what an encrypted file cannot
    lack. It is no proof of anything.
    """
    if format is Format.AGE:
        return head.startswith(_AGE_MAGIC) or head.lstrip(b" \t\r\n").startswith(_AGE_ARMOR)
    if _SOPS_VALUE in head:
        return True
    return any(
        head.startswith(mark) if mark[:1].isalpha() or mark[:1] == b"[" else mark in head
        for mark in _SOPS_BLOCK[format]
    )


__all__ = ["HEAD", "Format", "format_of", "looks_encrypted"]
