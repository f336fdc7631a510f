"""Public key lines made by hand, and the check of a refusal."""

from __future__ import annotations

import base64

import pytest

from secretsmith.crypto import bech32
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import ExitCode, RefusedInput

AGE = bech32.encode("age", bytes(range(1, 33)))


def ed25519_line(point: bytes) -> str:
    """An ssh-ed25519 line around any 32 bytes."""
    blob = b"\x00\x00\x00\x0bssh-ed25519" + len(point).to_bytes(4, "big") + point
    return "ssh-ed25519 " + base64.b64encode(blob).decode()


LINE = ed25519_line(bytes(range(31)) + b"\x01")


def refusal(line: str) -> RefusedInput:
    """Parse, and give the refusal; it is one line, does not repeat a long word of the input, and has a hint."""
    with pytest.raises(RefusedInput) as caught:
        parse_public_key(line)
    problem = caught.value
    assert problem.exit_code is ExitCode.USAGE
    assert "\n" not in problem.message
    assert problem.message[0].islower() or problem.message.startswith(("sk-", "ecdsa"))
    assert problem.hints
    shown = problem.message + " ".join(problem.hints)
    assert not any(word in shown for word in line.split() if len(word) > 40)
    return problem
