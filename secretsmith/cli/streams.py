"""The process's standard streams as binary files, safe also when one of them was closed by the caller."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import BinaryIO, cast


def hold_standard_descriptors() -> None:
    """Put something on the descriptors 0, 1 and 2 if the caller closed them.

    Otherwise the next file we open would get that number, and be what a child process takes for its output. They are
    opened the wrong way round on purpose: reading a closed input or writing to a closed output stays an error, where
    /dev/null would store an empty value or lose one.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # the lowest free number: this descriptor


def standard_streams() -> tuple[BinaryIO, BinaryIO, BinaryIO]:
    """Return standard input, output and error as binary files."""
    return _binary(sys.stdin, 0, "rb"), _binary(sys.stdout, 1, "wb"), _binary(sys.stderr, 2, "wb")


def _binary(stream: object, descriptor: int, mode: str) -> BinaryIO:
    # sys.stdin and its like are None when they were closed, and something without a buffer under some test runners.
    buffer = getattr(stream, "buffer", None)
    return cast(BinaryIO, os.fdopen(descriptor, mode, closefd=False) if buffer is None else buffer)


def abandon_output() -> None:
    """Let standard output go nowhere, after writing to it failed: Python's flush at exit must not fail again."""
    with contextlib.suppress(OSError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, 1)
        os.close(descriptor)


__all__ = ["abandon_output", "hold_standard_descriptors", "standard_streams"]
