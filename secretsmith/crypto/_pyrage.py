"""The only importer of pyrage, our writer and plugin host.

Its four exceptions share no base and its panics are BaseExceptions. It is loaded at the first call: 1.5 ms that reading
does not pay. It sees headers and key lines only after our own parsers accepted them. Its errors are prose; the few words
that have to be told apart are below, pinned by tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from secretsmith.crypto.plugins import PluginSettings
from secretsmith.crypto.publickey import KeyKind, PublicKey, printable
from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, SecretsmithError
from secretsmith.interaction import Interaction
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.crypto._worker import WorkerCallbacks

# rage, age/src/error.rs and i18n/en-US/age.ftl, as DecryptError prints them.
_NO_MATCH: Final = "No matching keys found"
_BAD_MAC: Final = "Header MAC is invalid"
_BAD_PAYLOAD: Final = frozenset({"decryption error", "last chunk is invalid, stream might be truncated"})


def decrypt_with_plugin(
    data: bytes, name: str, secret: Sensitive, interaction: Interaction, settings: PluginSettings
) -> Sensitive | None:
    """Decrypt a binary age file through ``age-plugin-NAME``; ``None`` when no stanza is for that identity.

    ``secret`` is the ``AGE-PLUGIN-NAME-1…`` line.

    Raises:
        CannotDecrypt: PLUGIN_MISSING, PLUGIN_FAILED, PLUGIN_TIMEOUT.
        IntegrityFailure: AGE_MAC, AGE_PAYLOAD.
    """
    import pyrage  # in the parent, so that the child need not

    # Sockets and json: 10 ms that only plugins cost.
    from secretsmith.crypto._worker import WorkFailed, WorkTimeout, run_in_worker

    settings.require(name, CannotDecrypt)

    def work(callbacks: WorkerCallbacks) -> bytes:
        identity = pyrage.plugin.Identity.from_str(secret.expose().decode("ascii"))
        plugin = pyrage.plugin.IdentityPluginV1(name, [identity], callbacks)
        return bytes(pyrage.decrypt(data, [plugin]))

    try:
        return Sensitive(run_in_worker(work, plugin=name, interaction=interaction, settings=settings))
    except WorkFailed as problem:
        text = str(problem)
        if text == _NO_MATCH:
            return None
        if text == _BAD_MAC:
            raise IntegrityFailure(
                Code.AGE_MAC, "the header of the age file was altered: its MAC is wrong"
            ) from None
        if text in _BAD_PAYLOAD:
            raise IntegrityFailure(
                Code.AGE_PAYLOAD, "the payload of the age file is damaged: it is cut off or altered"
            ) from None
        raise _plugin_failed([name], text, CannotDecrypt) from None
    except WorkTimeout:
        raise _plugin_timeout([name], settings, CannotDecrypt) from None


def encrypt(
    plaintext: Sensitive, keys: Sequence[PublicKey], interaction: Interaction, settings: PluginSettings | None
) -> bytes:
    """Encrypt to ``keys``, which are parsed, distinct and of kinds that may stand together; gives a binary age file.

    Raises:
        SecretsmithError: PLUGIN_MISSING, PLUGIN_FAILED, PLUGIN_TIMEOUT; ERROR when pyrage refuses.
    """
    plugins = sorted({key.plugin or "" for key in keys if key.kind is KeyKind.PLUGIN})
    if not plugins:
        return _encrypt(plaintext, [_native(key) for key in keys])
    # Sockets and json: 10 ms that only plugins cost.
    from secretsmith.crypto._worker import WorkFailed, WorkTimeout, run_in_worker

    settings = settings or PluginSettings.from_environ()
    for name in plugins:
        settings.require(name, SecretsmithError)

    def work(callbacks: WorkerCallbacks) -> bytes:
        recipients = [_native(key) for key in keys if key.kind is not KeyKind.PLUGIN]
        recipients.extend(_plugin(name, keys, callbacks) for name in plugins)
        return _encrypt(plaintext, recipients)

    try:
        return run_in_worker(work, plugin=plugins[0], interaction=interaction, settings=settings)
    except WorkFailed as problem:
        raise _plugin_failed(plugins, str(problem), SecretsmithError) from None
    except WorkTimeout:
        raise _plugin_timeout(plugins, settings, SecretsmithError) from None


def _encrypt(plaintext: Sensitive, recipients: list[Any]) -> bytes:
    import pyrage

    try:
        return bytes(pyrage.encrypt(plaintext.expose(), recipients))
    except pyrage.EncryptError as problem:
        raise SecretsmithError(Code.ERROR, f"cannot encrypt: {_shown(str(problem))}") from None


@lru_cache(maxsize=256)
def _native(key: PublicKey) -> Any:
    """Give pyrage's recipient object, made once a key; the text is our normalised one, never what somebody typed."""
    import pyrage

    try:
        if key.is_ssh:
            return pyrage.ssh.Recipient.from_str(key.text)
        if key.kind is KeyKind.TAG:
            kind = pyrage.tagpq if key.plugin == "tagpq" else pyrage.tag
            return kind.Recipient.from_str(key.text)
        return pyrage.x25519.Recipient.from_str(key.text)
    except pyrage.RecipientError as problem:
        raise SecretsmithError(
            Code.KEY_WEAK,
            f"the key {key.fingerprint} cannot be encrypted to: {_shown(str(problem))}",
            hints=("ask its owner for the public key again",),
        ) from None


def _plugin(name: str, keys: Iterable[PublicKey], callbacks: WorkerCallbacks) -> Any:
    import pyrage

    mine = [pyrage.plugin.Recipient.from_str(key.text) for key in keys if key.plugin == name]
    return pyrage.plugin.RecipientPluginV1(name, mine, [], callbacks)


def _shown(text: str) -> str:
    return printable(" ".join(text.split()))[:200]


def _plugin_failed(names: list[str], text: str, failure: type[SecretsmithError]) -> SecretsmithError:
    return failure(
        Code.PLUGIN_FAILED,
        f"age-plugin-{', age-plugin-'.join(names)} failed: {_shown(text)}",
        hints=("is the key plugged in? try again, or use another identity",),
    )


def _plugin_timeout(
    names: list[str], settings: PluginSettings, failure: type[SecretsmithError]
) -> SecretsmithError:
    return failure(
        Code.PLUGIN_TIMEOUT,
        f"age-plugin-{', age-plugin-'.join(names)} did not answer within {settings.seconds:g} seconds",
        hints=("is the key plugged in, and was it touched? try again, or use another identity",),
    )


__all__ = ["decrypt_with_plugin", "encrypt"]
