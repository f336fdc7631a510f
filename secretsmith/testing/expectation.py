"""Expectations that explain themselves: pytest does not rewrite plain asserts of an installed package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from secretsmith.errors import SecretsmithError


def expect(condition: bool, message: str) -> None:
    """Raise AssertionError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise AssertionError(message)


@contextmanager
def refused(kind: type[SecretsmithError], what: str) -> Iterator[list[SecretsmithError]]:
    """Expect the body to raise ``kind``; gives a list that holds the error afterwards."""
    caught: list[SecretsmithError] = []
    try:
        yield caught
    except kind as error:
        expect("\n" not in error.message, f"{what}: the message has more than one line")
        caught.append(error)
    else:
        raise AssertionError(f"{what}: expected {kind.__name__}, nothing was raised")


__all__ = ["expect", "refused"]
