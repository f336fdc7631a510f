"""libsodium through PyNaCl's compiled module and through its public functions: the same answers."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st
from nacl import _sodium as compiled

from secretsmith.crypto import _sodium
from secretsmith.crypto.curve import LOW_ORDER_X25519

DIRECT = _sodium.Direct(compiled.ffi, compiled.lib)
BINDINGS = _sodium.Bindings()
both = pytest.mark.parametrize("library", [DIRECT, BINDINGS], ids=["direct", "bindings"])

KEY = st.binary(min_size=32, max_size=32)
NONCE = st.binary(min_size=12, max_size=12)


@pytest.fixture
def _again() -> Iterator[None]:
    _sodium.library.cache_clear()
    yield
    _sodium.library.cache_clear()


@both
@given(scalar=KEY, other=KEY)
def test_x25519_is_the_one_of_openssl(library: _sodium.Library, scalar: bytes, other: bytes) -> None:
    ours, theirs = X25519PrivateKey.from_private_bytes(scalar), X25519PrivateKey.from_private_bytes(other)
    assert library.public_of(scalar) == ours.public_key().public_bytes_raw()
    point = theirs.public_key().public_bytes_raw()
    assert library.exchange(scalar, point) == ours.exchange(X25519PublicKey.from_public_bytes(point))


@both
@given(scalar=KEY, point=st.sampled_from(sorted(LOW_ORDER_X25519)))
def test_low_order_points_give_no_secret(library: _sodium.Library, scalar: bytes, point: bytes) -> None:
    assert library.exchange(scalar, point) is None


@both
@given(key=KEY, nonce=NONCE, plain=st.binary(max_size=300), place=st.integers(0, 10_000))
def test_unsealing_is_openssl_s(
    library: _sodium.Library, key: bytes, nonce: bytes, plain: bytes, place: int
) -> None:
    sealed = ChaCha20Poly1305(key).encrypt(nonce, plain, None)
    assert library.unseal(key, nonce, sealed) == plain
    assert library.unseal(key, nonce, memoryview(b"x" + sealed)[1:]) == plain
    changed = bytearray(sealed)
    changed[place % len(changed)] ^= 1
    assert library.unseal(key, nonce, bytes(changed)) is None
    assert library.unseal(key, nonce, sealed[: place % len(sealed)]) is None


@given(point=KEY)
def test_both_convert_ed25519_keys_alike(point: bytes) -> None:
    assert DIRECT.montgomery_of(point) == BINDINGS.montgomery_of(point)


@both
@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_wrong_length_never_reaches_c(library: _sodium.Library, length: int) -> None:
    right, wrong = bytes(32), bytes(length)
    calls: list[Callable[[], object]] = [
        lambda: library.public_of(wrong),
        lambda: library.exchange(wrong, right),
        lambda: library.exchange(right, wrong),
        lambda: library.unseal(wrong, bytes(12), bytes(16)),
        lambda: library.unseal(right, wrong, bytes(16)),
        lambda: library.montgomery_of(wrong),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="bytes are wanted"):
            call()


def test_what_was_computed_is_wiped() -> None:
    kept = []

    class Watching:
        """The real ``ffi``, which remembers the buffers it gave."""

        NULL = compiled.ffi.NULL
        buffer, from_buffer = compiled.ffi.buffer, compiled.ffi.from_buffer

        def new(self, *arguments: object) -> object:
            kept.append(compiled.ffi.new(*arguments))
            return kept[-1]

        def new_allocator(self, **options: object) -> object:
            real = compiled.ffi.new_allocator(**options)

            def new(*arguments: object) -> object:
                kept.append(real(*arguments))
                return kept[-1]

            return new

    library = _sodium.Direct(Watching(), compiled.lib)
    sealed = ChaCha20Poly1305(bytes(32)).encrypt(bytes(12), b"CANARY-7f3a91c2", None)
    assert library.unseal(bytes(32), bytes(12), sealed) == b"CANARY-7f3a91c2"
    assert library.exchange(bytes(range(32)), library.public_of(bytes(32)))
    secret = [kept[0], kept[2]]  # the second is a public key
    assert [bytes(compiled.ffi.buffer(buffer)).strip(b"\0") for buffer in secret] == [b"", b""]


# Which of the two is taken


@pytest.mark.usefixtures("_again")
def test_the_compiled_module_where_it_is() -> None:
    assert isinstance(_sodium.library(), _sodium.Direct)
    assert _sodium.library() is _sodium.library()


@pytest.mark.usefixtures("_again")
def test_public_functions_where_the_compiled_module_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nacl._sodium", None)
    assert isinstance(_sodium.library(), _sodium.Bindings)


@pytest.mark.usefixtures("_again")
def test_public_functions_where_the_compiled_module_lacks_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = types.ModuleType("nacl._sodium")
    stub.ffi = compiled.ffi  # type: ignore[attr-defined]
    stub.lib = types.SimpleNamespace(sodium_init=compiled.lib.sodium_init)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nacl._sodium", stub)
    assert isinstance(_sodium.library(), _sodium.Bindings)


@pytest.mark.usefixtures("_again")
def test_public_functions_where_the_compiled_module_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {name: getattr(compiled.lib, name) for name in _sodium._NEEDED}
    stub = types.ModuleType("nacl._sodium")
    stub.ffi = compiled.ffi  # type: ignore[attr-defined]
    stub.lib = types.SimpleNamespace(**{**names, "sodium_init": lambda: -1})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nacl._sodium", stub)
    assert isinstance(_sodium.library(), _sodium.Bindings)


def test_reading_imports_only_the_compiled_module() -> None:
    code = (
        "import sys; from secretsmith.crypto import agefile, _sodium; _sodium.library().public_of(bytes(32));"
        "print(sorted({'pyrage', 'cryptography', 'nacl.bindings', 'nacl._sodium'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "['nacl._sodium']"
