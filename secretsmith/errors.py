"""What can go wrong, as data.

Every failure that a user can meet is a :class:`SecretsmithError`: a class (which fixes the exit code), a stable
:class:`Code`, one line of text and the commands that mend it. Nothing in here prints, and no message ever holds a value.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The exit status of every secretsmith program; part of the interface (docs/reference/exit-codes.md)."""

    OK = 0
    ERROR = 1
    USAGE = 2
    FINDINGS = 3
    NOT_FOUND = 4
    CANNOT_DECRYPT = 5
    INTEGRITY = 6
    SSH = 7
    HOST_KEY_CHANGED = 8
    CONFLICT = 9
    INTERRUPTED = 130


class Code(StrEnum):
    """Stable names of errors and findings. A name is never reused for another meaning."""

    # general
    ERROR = "E_ERROR"
    USAGE = "E_USAGE"
    NOT_INTERACTIVE = "E_NOT_INTERACTIVE"
    NOT_FOUND = "E_NOT_FOUND"
    AMBIGUOUS = "E_AMBIGUOUS"
    EXISTS = "E_EXISTS"
    NO_REGISTRY = "E_NO_REGISTRY"
    INTERRUPTED = "E_INTERRUPTED"
    UNSUPPORTED = "E_UNSUPPORTED"
    # keys
    KEY_FORMAT = "E_KEY_FORMAT"
    KEY_OPTIONS = "E_KEY_OPTIONS"
    KEY_PRIVATE = "E_KEY_PRIVATE"
    KEY_WEAK = "E_KEY_WEAK"
    KEY_UNSUPPORTED = "E_KEY_UNSUPPORTED"
    KEY_ACCEPT = "E_KEY_ACCEPT"
    PASSPHRASE = "E_PASSPHRASE"
    KEYRING = "E_KEYRING"
    PLUGIN_NAME = "E_PLUGIN_NAME"
    PLUGIN_MISSING = "E_PLUGIN_MISSING"
    PLUGIN_FAILED = "E_PLUGIN_FAILED"
    PLUGIN_TIMEOUT = "E_PLUGIN_TIMEOUT"
    # values from elsewhere
    LINKED = "E_LINKED"
    SOURCE_APPROVAL = "E_SOURCE_APPROVAL"
    LIVE = "E_LIVE"
    # hosts over the network
    SSH = "E_SSH"
    HOST_KEY = "E_HOST_KEY"
    REMOTE = "E_REMOTE"
    SKEW = "E_SKEW"
    # age files
    EMPTY = "E_EMPTY"
    TOO_BIG = "E_TOO_BIG"
    FORMAT = "E_FORMAT"
    AGE_HEADER = "E_AGE_HEADER"
    AGE_VERSION = "E_AGE_VERSION"
    AGE_ARMOR = "E_AGE_ARMOR"
    AGE_MAC = "E_AGE_MAC"
    AGE_PAYLOAD = "E_AGE_PAYLOAD"
    AGE_TRUNCATED = "E_AGE_TRUNCATED"
    AGE_SCRYPT = "E_AGE_SCRYPT"
    NO_IDENTITY = "E_NO_IDENTITY"
    RECIPIENT_MIX = "E_RECIPIENT_MIX"
    RECIPIENT_EXTRA = "E_RECIPIENT_EXTRA"
    RECIPIENT_MISSING = "E_RECIPIENT_MISSING"
    # sops documents
    YAML_ALIAS = "E_YAML_ALIAS"
    YAML_DEPTH = "E_YAML_DEPTH"
    YAML_DUP = "E_YAML_DUP"
    YAML_VALUE = "E_YAML_VALUE"
    YAML_TAG = "E_YAML_TAG"
    YAML_SYNTAX = "E_YAML_SYNTAX"
    YAML_CHAR = "E_YAML_CHAR"
    YAML_SHAPE = "E_YAML_SHAPE"
    ENCODING = "E_ENCODING"
    NAME_DUP = "E_NAME_DUP"
    MAC = "E_MAC"
    CIPHERTEXT = "E_CIPHERTEXT"
    VERSION = "E_VERSION"
    RULES = "E_RULES"
    RECIPIENT_MISMATCH = "E_RECIPIENT_MISMATCH"
    # registry and lock
    REG_SYNTAX = "E_REG_SYNTAX"
    REG_SCHEMA = "E_REG_SCHEMA"
    REG_DUP = "E_REG_DUP"
    REG_CYCLE = "E_REG_CYCLE"
    REG_EMPTY = "E_REG_EMPTY"
    REG_UNKNOWN = "E_REG_UNKNOWN"
    REG_RULES = "E_REG_RULES"
    STILL_READS = "E_STILL_READS"
    NO_ADMIN = "E_NO_ADMIN"
    NAME = "E_NAME"
    NAME_CLASH = "E_NAME_CLASH"
    LOCK_SCHEMA = "E_LOCK_SCHEMA"
    CONFLICT = "E_CONFLICT"
    # files
    NOT_REGULAR = "E_NOT_REGULAR"
    SYMLINK = "E_SYMLINK"
    ACCESS = "E_ACCESS"
    NOSPC = "E_NOSPC"
    LOCKED = "E_LOCKED"
    CHANGED = "E_CHANGED"
    IO = "E_IO"
    NO_TMPFS = "E_NO_TMPFS"
    EDITOR = "E_EDITOR"
    # activation
    MANIFEST = "E_MANIFEST"
    MODE = "E_MODE"
    OWNER = "E_OWNER"
    TARGET = "E_TARGET"
    PATH_UNSAFE = "E_PATH_UNSAFE"
    PATH_OCCUPIED = "E_PATH_OCCUPIED"
    STATE = "E_STATE"
    TEMPLATE = "E_TEMPLATE"
    UNITS = "E_UNITS"
    CREDENTIAL = "E_CREDENTIAL"
    SECRETS_FAILED = "E_SECRETS_FAILED"
    # findings of check
    DRIFT = "E_DRIFT"
    NO_RULE = "E_NO_RULE"
    PLAINTEXT = "E_PLAINTEXT"
    UNTRACKED = "E_UNTRACKED"
    IGNORED = "E_IGNORED"
    SINGLE_ADMIN = "E_SINGLE_ADMIN"
    LOCK_STALE = "E_LOCK_STALE"
    KEY_EXPOSED = "E_KEY_EXPOSED"
    KEY_GROUPS = "E_KEY_GROUPS"
    KEY_SERVICE = "E_KEY_SERVICE"
    ASSUMED = "E_ASSUMED"
    PENDING = "E_PENDING"
    SOPS_CONFIG = "E_SOPS_CONFIG"
    KEPT_TEXT = "E_KEPT_TEXT"
    FORMER_KEY = "E_FORMER_KEY"
    LOCK_MISSING = "E_LOCK_MISSING"
    LOCK_DIGEST = "E_LOCK_DIGEST"
    UNSETTLED = "E_UNSETTLED"
    UNUSED_RULE = "E_UNUSED_RULE"
    DEBT = "E_DEBT"
    NOT_GRANTED = "E_NOT_GRANTED"
    UNDECLARED = "E_UNDECLARED"
    BUILD_STALE = "E_BUILD_STALE"
    KEYRING_SECRET = "E_KEYRING_SECRET"
    LINK_STALE = "E_LINK_STALE"
    LINK_UNKNOWN = "E_LINK_UNKNOWN"
    FINDINGS = "E_FINDINGS"


class SecretsmithError(Exception):
    """Base of every error that is shown to a user.

    ``message`` is one line, lower case, without a final full stop and without any secret value. ``hints`` are further
    lines, each a fact or a command to run next. ``path`` is the file the error speaks of, if there is one.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.ERROR

    def __init__(
        self, code: Code, message: str, *, hints: Iterable[str] = (), path: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hints = tuple(hints)
        self.path = path

    def with_hints(self, *hints: str) -> SecretsmithError:
        """Return the same error with further hints, for layers that know the remedy."""
        return type(self)(self.code, self.message, hints=(*self.hints, *hints), path=self.path)

    def at(self, path: str) -> SecretsmithError:
        """Return the same error naming ``path``, for layers that know the file; an error that has one keeps it."""
        if self.path is not None:
            return self
        return type(self)(self.code, f"{path}: {self.message}", hints=self.hints, path=path)


class RefusedInput(SecretsmithError):
    """Wrong usage, or input that is refused before anything is done."""

    exit_code = ExitCode.USAGE


class FindingsFound(SecretsmithError):
    """The work was done, and something was found that wants attention."""

    exit_code = ExitCode.FINDINGS


class NotFound(SecretsmithError):
    """A secret, principal, file or key that does not exist."""

    exit_code = ExitCode.NOT_FOUND


class CannotDecrypt(SecretsmithError):
    """No identity opens the file, or the identity that would is locked."""

    exit_code = ExitCode.CANNOT_DECRYPT


class IntegrityFailure(SecretsmithError):
    """A MAC, digest or payload that does not verify, or a recipient nobody named."""

    exit_code = ExitCode.INTEGRITY


class RemoteFailure(SecretsmithError):
    """ssh could not do its part."""

    exit_code = ExitCode.SSH


class HostKeyChanged(SecretsmithError):
    """A host answers with another key than the registered one."""

    exit_code = ExitCode.HOST_KEY_CHANGED


class Conflict(SecretsmithError):
    """Another process holds the lock, the file changed underneath, or a merge is unfinished."""

    exit_code = ExitCode.CONFLICT


class Interrupted(SecretsmithError):
    """The user stopped the command."""

    exit_code = ExitCode.INTERRUPTED


__all__ = [
    "CannotDecrypt",
    "Code",
    "Conflict",
    "ExitCode",
    "FindingsFound",
    "HostKeyChanged",
    "IntegrityFailure",
    "Interrupted",
    "NotFound",
    "RefusedInput",
    "RemoteFailure",
    "SecretsmithError",
]
