"""Opening and making documents, of age and of sops, through one door."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keys import ed25519_key

from secretsmith.crypto.identity import SshIdentity
from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.documents.format import Format
from secretsmith.documents.seal import evidence, open_leaf, open_value, seal_value
from secretsmith.documents.sopsnew import new_document
from secretsmith.documents.tree import TreePath
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


SOPS = [kind for kind in Format if kind is not Format.AGE]
CLEAR = {
    Format.YAML: b"a: 1 # one\nb:\n  - x\n  - null\n  - 2.5\n",
    Format.JSON: b'{"a": 1, "b": ["x", null, 2.5]}\n',
    Format.DOTENV: b"a=1\n",
    Format.INI: b"a = 1\n",
    Format.BINARY: b"\x00\xff",
}


@pytest.mark.parametrize("kind", SOPS)
def test_sops_documents_open(kind: Format) -> None:
    data = new_document(kind, CLEAR[kind], [[f"{KEY.public} me@here"]])
    assert [(each.kind, each.recipient) for each in evidence(kind, data)] == [
        ("ssh-ed25519", f"{KEY.public} me@here")
    ]
    assert open_value(kind, data, [identity()]).expose() == CLEAR[kind]
    # Identities may come one by one, or be looked for by each stanza of the document.
    assert open_value(kind, data, iter([identity(ed25519_key().private), identity()])).expose() == CLEAR[kind]
    assert open_value(kind, data, lambda stanza: [identity()]).expose() == CLEAR[kind]
    with pytest.raises(CannotDecrypt):
        open_value(kind, data, [identity(ed25519_key().private)])


def test_a_lazy_identity_is_made_once_for_all_stanzas() -> None:
    asked: list[str] = []

    def lazily() -> Iterator[SshIdentity]:
        for private in (ed25519_key().private, KEY.private):
            asked.append("asked")
            yield identity(private)

    groups = [[ed25519_key().public, KEY.public], [KEY.public]]
    data = new_document(Format.JSON, CLEAR[Format.JSON], groups)
    assert open_value(Format.JSON, data, lazily()).expose() == CLEAR[Format.JSON]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("path", "shown"), [(("a",), b"1"), (("b", 0), b"x"), (("b", 1), b"null"), (("b", 2), b"2.5")]
)
@pytest.mark.parametrize("kind", [Format.YAML, Format.JSON])
def test_one_value_of_a_document(kind: Format, path: TreePath, shown: bytes) -> None:
    data = new_document(kind, CLEAR[kind], [[KEY.public]])
    assert open_leaf(kind, data, path, [identity()]).expose() == shown


@pytest.mark.parametrize("kind", SOPS)
def test_what_is_no_sops_document_is_refused(kind: Format) -> None:
    for action in (
        lambda: evidence(kind, CLEAR[kind]),
        lambda: open_value(kind, CLEAR[kind], [identity()]),
        lambda: open_leaf(kind, CLEAR[kind], ("a",), [identity()]),
    ):
        with pytest.raises(RefusedInput) as caught:
            action()
        assert caught.value.code is Code.FORMAT


@pytest.mark.parametrize("kind", SOPS)
def test_sops_documents_are_not_made_anew(kind: Format) -> None:
    with pytest.raises(RefusedInput) as caught:
        seal_value(kind, Sensitive(CLEAR[kind]), [KEY.public], armor=True)
    assert caught.value.code is Code.UNSUPPORTED


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
