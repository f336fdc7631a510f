"""Foreign words in messages: shown only when they are harmless, and with the word that was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHOWN = 80
# Whatever looks like a private key stays out of every message: people paste the wrong line.
_PRIVATE = re.compile(r"SECRET-KEY|PRIVATE KEY|AGE-PLUGIN-|b3BlbnNzaC1rZXktdjEA", re.IGNORECASE)


def is_private(text: str) -> bool:
    """Say whether ``text`` may hold a private key."""
    return _PRIVATE.search(text) is not None


def shown(text: str) -> str:
    """Quote ``text`` for a message: escaped (no terminal control, no bidi), cut, and never a private key."""
    if is_private(text):
        return "a private key (not shown)"
    cut = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return (
        "'" + "".join(c if (c.isascii() and c.isprintable()) or c == "…" else _escaped(c) for c in cut) + "'"
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def did_you_mean(word: str, choices: Iterable[str]) -> tuple[str, ...]:
    """Give one hint naming the closest of ``choices``, or none when nothing is close."""
    # Imported here: only an error needs it, and light commands count their imports.
    from difflib import get_close_matches

    if len(word) > _SHOWN or is_private(word):
        return ()
    close = get_close_matches(word, list(choices), n=2, cutoff=0.6)
    return (f"did you mean {' or '.join(shown(choice) for choice in close)}?",) if close else ()


__all__ = ["did_you_mean", "is_private", "shown"]
