from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from desktops import Person
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secretsmith.crypto.publickey import fingerprint_of
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.identities import kernelkeys
from secretsmith.sensitive import Sensitive

MATERIAL = Sensitive(b"canary of the kernel's keyring")


def entry() -> str:
    """A name that no other test has."""
    return fingerprint_of(os.urandom(32))


@pytest.fixture
def name() -> Iterator[str]:
    """An entry; it is gone afterwards."""
    try:
        kernelkeys.held()
    except SecretsmithError as error:
        if os.environ.get("SECRETSMITH_REQUIRE_PEERS") == "1":
            raise
        pytest.skip(error.message)
    made = entry()
    yield made
    kernelkeys.drop(made)


def entries() -> dict[str, int]:
    return {key.entry: key.until for key in kernelkeys.held()}


def test_what_is_held_can_be_taken_by_its_name_alone(name: str) -> None:
    held = kernelkeys.hold(name, MATERIAL, 60)
    assert kernelkeys.take(name) == MATERIAL
    assert entries()[name] == held.until
    assert 0 < held.until - time.time() <= 60
    assert kernelkeys.take(entry()) is None


def test_dropping_ends_it(name: str) -> None:
    other = entry()
    kernelkeys.hold(name, MATERIAL, 60)
    kernelkeys.hold(other, MATERIAL, 60)
    assert kernelkeys.drop(name) == 1
    assert kernelkeys.take(name) is None
    assert kernelkeys.take(other) == MATERIAL
    assert kernelkeys.drop(other) == 1
    assert kernelkeys.drop(other) == 0


def test_a_second_time_takes_the_place_of_the_first(name: str) -> None:
    kernelkeys.hold(name, Sensitive(b"first"), 600)
    second = kernelkeys.hold(name, Sensitive(b"second"), 60)
    assert kernelkeys.take(name) == Sensitive(b"second")
    assert [key.serial for key in kernelkeys.held() if key.entry == name] == [second.serial]


def test_a_second_time_within_the_same_second(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr("secretsmith.identities.kernelkeys.time.time", lambda: now)
    first = kernelkeys.hold(name, Sensitive(b"first"), 60)
    kernelkeys.hold(name, Sensitive(b"second"), 60)
    assert kernelkeys.take(name) == Sensitive(b"second")
    with pytest.raises(OSError):
        kernelkeys._read(first.serial)


def test_time_ends_it(name: str) -> None:
    kernelkeys.hold(name, MATERIAL, 1)
    deadline = time.monotonic() + 60
    while kernelkeys.take(name) is not None:
        assert time.monotonic() < deadline, "the kernel never let go of it"
        time.sleep(0.1)
    assert name not in entries()


@pytest.mark.parametrize("operation", ["_SETPERM", "_SET_TIMEOUT", "_LINK"])
def test_no_key_without_an_end_stays_when_a_step_fails(
    name: str, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    real = kernelkeys._keyctl
    added: list[int] = []

    def failing(number: int, *words: Any) -> int:
        if number == getattr(kernelkeys, operation) and words[0] != kernelkeys._USER_KEYRING:
            added.append(words[0])
            raise OSError(12, "no")
        return real(number, *words)

    monkeypatch.setattr(kernelkeys, "_keyctl", failing)
    with pytest.raises(SecretsmithError):
        kernelkeys.hold(name, MATERIAL, 60)
    monkeypatch.undo()
    assert name not in entries()
    with pytest.raises(OSError):
        kernelkeys._read(added[0])


def test_too_large_for_the_kernel_is_an_error_and_no_trace(name: str) -> None:
    """An age identity file may hold hundreds of keys; the kernel's EINVAL reads as if a container forbade it."""
    with pytest.raises(RefusedInput) as refused:
        kernelkeys.hold(name, Sensitive(bytes(32_768)), 60)
    assert refused.value.code is Code.TOO_BIG
    assert name not in entries()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(material=st.binary(min_size=1, max_size=4096))
def test_bytes_come_back_as_they_are(name: str, material: bytes) -> None:
    kernelkeys.hold(name, Sensitive(material), 60)
    assert kernelkeys.take(name) == Sensitive(material)


def test_foreign_keys_are_left_alone(name: str, peer: Callable[[str], str]) -> None:
    keyctl = peer("keyctl")
    added = subprocess.run(
        [keyctl, "add", "user", f"elsewhere:{name}", "x", "@u"], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        kernelkeys.hold(name, MATERIAL, 60)
        assert set(entries()) >= {name}
        kernelkeys.drop(name)
        shown = subprocess.run([keyctl, "rlist", "@u"], check=True, capture_output=True, text=True).stdout
        assert added in shown.split()
    finally:
        subprocess.run([keyctl, "unlink", added, "@u"], check=True, capture_output=True)


def test_only_who_possesses_the_user_keyring_reads_it(name: str, peer: Callable[[str], str]) -> None:
    keyctl = peer("keyctl")
    serial = str(kernelkeys.hold(name, MATERIAL, 60).serial)
    # A session of its own does not hold the user keyring: the number of the key alone opens nothing.
    done = subprocess.run(
        [keyctl, "session", "-", keyctl, "print", serial], check=False, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "canary" not in done.stdout
    assert "denied" in done.stderr


def test_another_session_of_the_same_user_finds_it(peer: Callable[[str], str]) -> None:
    with Person(peer) as person:
        person.key()
        person.answered("identity", "unlock", answers={"passphrase of ~/.ssh/id_ed25519: ": "s3same"})
        listed = person.program(
            peer("keyctl"), "session", "-", sys.executable, "-m", "secretsmith", "identity", "list"
        )
        assert "held unlocked by the kernel's keyring until" in listed.stdout
