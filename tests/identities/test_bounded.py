from __future__ import annotations

import threading
from typing import NoReturn

import pytest

from secretsmith.errors import Code, SecretsmithError
from secretsmith.identities import desktop
from secretsmith.identities.bounded import Work, someone_waits
from secretsmith.identities.desktop import DesktopKeyring
from secretsmith.interaction import NoInteraction


def keyring(timeout: float = 5.0) -> DesktopKeyring:
    return DesktopKeyring({}, NoInteraction(), timeout=timeout)


def refusal(asked: DesktopKeyring) -> str:
    with pytest.raises(SecretsmithError) as caught:
        asked.passphrase("SHA256:x")
    assert caught.value.code is Code.KEYRING
    return caught.value.message


def test_value_and_error_of_a_job() -> None:
    work = Work(lambda: 5)
    assert work.wait(60)
    assert (work.value, work.error) == (5, None)
    work = Work(lambda: 1 // 0)
    assert work.wait(60)
    assert isinstance(work.error, ZeroDivisionError)


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, BaseException, ImportError, ZeroDivisionError])
def test_backend_that_ends_with_anything_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: type[BaseException]
) -> None:
    """sys.exit in a backend, a panic of a library in Rust (no Exception), a keyring that cannot even be imported."""

    def fail() -> NoReturn:
        raise kind("canary")

    monkeypatch.setattr(desktop, "_backend", fail)
    assert refusal(keyring()) == f"the desktop's keyring failed ({kind.__name__})"
    assert "canary" not in "".join(capsys.readouterr())


def test_one_that_hangs_is_left_and_not_asked_again_while_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each login that pip asks for comes with a keyring of its own: no second wait, and no second thread."""
    answered, asked = threading.Event(), []

    def hang() -> NoReturn:
        asked.append(threading.current_thread())
        answered.wait(60)
        raise ZeroDivisionError

    monkeypatch.setattr(desktop, "_backend", hang)
    try:
        assert "did not answer within 0.01 seconds" in refusal(keyring(0.01))
        assert "has not answered this program before" in refusal(keyring(0.01))
        assert (len(asked), asked[0].daemon, someone_waits()) == (1, True, True)
    finally:
        answered.set()
        asked[0].join()
    assert not someone_waits()
    assert "failed (ZeroDivisionError)" in refusal(keyring()), "it is asked again once it has answered"


def test_our_own_backend_alone_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring as real

    ours = type("Keyring", (), {"__module__": "secretsmith_keyring"})()
    monkeypatch.setattr(real, "get_keyring", lambda: ours)
    assert "python's keyring is set to secretsmith's own backend" in refusal(keyring())
