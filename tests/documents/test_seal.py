"""Opening and making documents: age works, the others are refused whole."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keys import ed25519_key

from secretsmith.crypto.identity import SshIdentity
from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.documents.format import Format
from secretsmith.documents.seal import evidence, open_value, seal_value
from secretsmith.errors import CannotDecrypt, Code, RefusedInput
from secretsmith.sensitive import Sensitive

KEY = ed25519_key("me")


def identity(private: bytes = KEY.private) -> SshIdentity:
    key = parse_ssh_private_key(private)
    assert isinstance(key, SshPrivateKey)
    return SshIdentity(key, "test")


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_a_value_comes_back_byte_for_byte(value: bytes, armor: bool) -> None:
    data = seal_value(Format.AGE, Sensitive(value), [KEY.public], armor=armor)
    assert open_value(Format.AGE, data, [identity()]).expose() == value
    assert [item.kind for item in evidence(Format.AGE, data)] == ["ssh-ed25519"]


def test_another_key_does_not_open_it() -> None:
    data = seal_value(Format.AGE, Sensitive(b"x"), [KEY.public], armor=True)
    with pytest.raises(CannotDecrypt):
        open_value(Format.AGE, data, [identity(ed25519_key().private)])


@pytest.mark.parametrize("kind", [kind for kind in Format if kind is not Format.AGE])
def test_sops_documents_are_refused(kind: Format) -> None:
    with pytest.raises(RefusedInput) as caught:
        open_value(kind, b"a: 1\n", [identity()])
    assert caught.value.code is Code.UNSUPPORTED
    assert "sops documents are not opened by this version" in caught.value.message
    with pytest.raises(RefusedInput):
        seal_value(kind, Sensitive(b"a: 1\n"), [KEY.public], armor=True)
    with pytest.raises(RefusedInput):
        evidence(kind, b"a: 1\n")


@pytest.mark.parametrize(("data", "code"), [(b"", Code.EMPTY), (b"hello", Code.FORMAT)])
def test_what_is_no_age_file_is_refused(data: bytes, code: Code) -> None:
    for action in (lambda: evidence(Format.AGE, data), lambda: open_value(Format.AGE, data, [])):
        with pytest.raises(RefusedInput) as caught:
            action()
        assert caught.value.code is code


def test_looking_at_headers_and_registries_loads_no_cryptography() -> None:
    code = (
        "import sys, secretsmith.documents.seal, secretsmith.policy.drift, secretsmith.policy.registry as r;"
        "assert 'tomllib' not in sys.modules; r.parse_registry('[secretsmith]\\nversion = 1\\n');"
        "print([m for m in ('pyrage', 'nacl', 'cryptography', 'tomlkit', 'ruamel', 'typer', 'subprocess') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
