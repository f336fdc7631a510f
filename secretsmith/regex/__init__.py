"""Regular expressions of rules: the common subset of RE2 and Python, matched in linear time."""

from secretsmith.regex.match import compile_regex

__all__ = ["compile_regex"]
