"""Parameters of the commands that work on any encrypted file, as sops does, with a registry and without one."""

from __future__ import annotations

from secretsmith.cli.parameters import argument, flag, many, option, options, parameters

_FILE = "A file: a secret of the repository, or any path; - is standard input."
_TYPE = "The format, where the name does not tell it."
_TYPES = ("yaml", "json", "dotenv", "ini", "binary")
_ACCEPT = "Accept a key that this clone has not seen, by its fingerprint, or all of them; may be repeated."
_DROP_UNKNOWN = "Drop recipients that the registry never named instead of stopping."


@parameters
class DecryptParameters:
    """``secretsmith decrypt FILE``."""

    file: str = argument("FILE", _FILE)
    input_type: str | None = option("--input-type", "TYPE", _TYPE, default=None, choices=(*_TYPES, "age"))
    output_type: str | None = option(
        "--output-type", "TYPE", "Write a document in another format.", default=None, choices=_TYPES
    )
    in_place: bool = flag("--in-place", "Replace the file by its text in clear.", default=False)
    ignore_mac: bool = flag("--ignore-mac", "Do not check a document's MAC; warns.", default=False)


@parameters
class EncryptParameters:
    """``secretsmith encrypt FILE``."""

    file: str = argument("FILE", _FILE)
    age: tuple[str, ...] = options(
        "--age",
        "RECIPIENT[,RECIPIENT]",
        "Encrypt to these instead of what registry or .sops.yaml say.",
        default=(),
        separator=",",
    )
    in_place: bool = flag("--in-place", "Replace the file by the encrypted one.", default=False)
    input_type: str | None = option("--input-type", "TYPE", _TYPE, default=None, choices=(*_TYPES, "age"))
    filename_override: str | None = option(
        "--filename-override", "PATH", "Choose format and rules as for this path.", default=None
    )
    unencrypted_suffix: str | None = option(
        "--unencrypted-suffix", "TEXT", "Leave keys with this ending in clear.", default=None
    )
    encrypted_suffix: str | None = option(
        "--encrypted-suffix", "TEXT", "Encrypt only keys with this ending.", default=None
    )
    unencrypted_regex: str | None = option(
        "--unencrypted-regex", "REGEX", "Leave matching keys in clear.", default=None
    )
    encrypted_regex: str | None = option(
        "--encrypted-regex", "REGEX", "Encrypt only matching keys.", default=None
    )
    unencrypted_comment_regex: str | None = option(
        "--unencrypted-comment-regex",
        "REGEX",
        "Leave in clear what follows a matching comment.",
        default=None,
    )
    encrypted_comment_regex: str | None = option(
        "--encrypted-comment-regex", "REGEX", "Encrypt only what follows a matching comment.", default=None
    )
    mac_only_encrypted: bool = flag(
        "--mac-only-encrypted", "Let the MAC cover encrypted values alone.", default=False
    )
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())


@parameters
class UnsetParameters:
    """``secretsmith unset SECRET KEY``."""

    secret: str = argument("SECRET", _FILE)
    key: str = argument("KEY", "A slash path into the document, for instance mail/smtp.")
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())
    drop_unknown: bool = flag("--drop-unknown", _DROP_UNKNOWN, default=False)


@parameters
class RotateParameters:
    """``secretsmith rotate SECRET…``."""

    secrets: tuple[str, ...] = many("SECRET", "The secrets to give a new data key.")
    accept: tuple[str, ...] = options("--accept", "SHA256:…|all", _ACCEPT, default=())
    drop_unknown: bool = flag("--drop-unknown", _DROP_UNKNOWN, default=False)


@parameters
class RunParameters:
    """``secretsmith run SECRET -- COMMAND…``."""

    secret: str = argument("SECRET", _FILE)
    command: tuple[str, ...] = many("COMMAND", "The program and its arguments, after --.", blank=True)
    files: bool = flag(
        "--files",
        "Give the values as files in a folder on tmpfs, named by $SECRETSMITH_FILES and in place of {}.",
        default=False,
    )
    name: str | None = option(
        "--name", "NAME", "The variable or file for a secret that is one value.", default=None
    )
    pristine: bool = flag(
        "--pristine", "Start the program with no other environment variables.", default=False
    )


@parameters
class ExportSopsParameters:
    """``secretsmith export sops``."""

    stdout: bool = flag("--stdout", "Print it instead of writing .sops.yaml.", default=False)
    force: bool = flag("--force", "Replace a .sops.yaml that was not written by secretsmith.", default=False)


__all__ = [
    "DecryptParameters",
    "EncryptParameters",
    "ExportSopsParameters",
    "RotateParameters",
    "RunParameters",
    "UnsetParameters",
]
