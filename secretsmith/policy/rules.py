"""A rule of the registry: a path pattern, its readers and the options of the files that it names."""

from __future__ import annotations

from typing import Literal

from secretsmith.policy.patterns import PatternSet
from secretsmith.record import record

SELECTION_FIELDS = (
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
)
"""The six fields of sops that say which values of a document are encrypted; at most one in a rule.
(sops: stores/stores.go, Metadata; cmd/sops/main.go refuses two.)"""

OPTION_FIELDS = ("key_groups", "shamir_threshold", "selection", "mac_only_encrypted", "armor")
"""The fields in which two rules that match the same path must not differ."""


@record
class Rule:
    """One ``[[rules]]`` entry. ``None`` in an option means that the rule says nothing about it.

    ``readers`` are words: the name of a principal, or ``@`` and the name of a group. ``key_groups`` are
    tuples of the same words. ``selection`` is (one of :data:`SELECTION_FIELDS`, its value). ``line`` is
    where the rule stands in the registry (1-based, 0 when it was not read from a file).
    """

    pattern: str
    readers: tuple[str, ...]
    key_groups: tuple[tuple[str, ...], ...] | None = None
    shamir_threshold: int | None = None
    selection: tuple[str, str] | None = None
    mac_only_encrypted: bool | None = None
    armor: bool | None = None
    origin: Literal["build"] | None = None
    line: int = 0


class Matcher:
    """One compiled pattern."""

    __slots__ = ("_set", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._set = PatternSet((pattern,))

    def matches(self, path: str) -> bool:
        """Say whether the pattern matches the whole of ``path`` (relative, with ``/``), in linear time."""
        return bool(self._set.matching(path))


def compile_pattern(pattern: str) -> Matcher:
    """Compile one pattern (:mod:`secretsmith.policy.patterns` has the syntax). Raises ``RefusedInput``."""
    return Matcher(pattern)


__all__ = ["OPTION_FIELDS", "SELECTION_FIELDS", "Matcher", "Rule", "compile_pattern"]
