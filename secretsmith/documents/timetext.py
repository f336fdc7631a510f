"""Times as Go reads and writes them: RFC 3339, and the further spellings of go-yaml.

Nothing is computed: Go keeps the zone that was written, so one form becomes the other digit by digit.
Sources: go-yaml v3, resolve.go (parseTimestamp); Go, time (Parse, RFC3339Nano, Time.MarshalText).
"""

from __future__ import annotations

import calendar
import re

_DATE = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})"
_CLOCK = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{1,2}):(?P<second>[0-9]{1,2})(?:[.,](?P<fraction>[0-9]+))?"
_ZONE = r"(?:Z|(?P<sign>[-+])(?P<zone_hour>[0-9]{2}):(?P<zone_minute>[0-9]{2}))"
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_YAML = tuple(re.compile(form) for form in (f"{_DATE}[Tt]{_CLOCK}{_ZONE}", f"{_DATE} +{_CLOCK}", _DATE))
_STRICT = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?" + _ZONE
)


def parse_yaml_time(text: str) -> str | None:
    """Read what go-yaml takes for a time; gives it in RFC 3339, ``None`` for another text.

    Raises:
        ValueError: for a zone of a day and more, which Go reads and cannot write.
    """
    for form in _YAML:
        found = form.fullmatch(text)
        if found is not None:
            return _canonical(found.groupdict())
    return None


def parse_rfc3339(text: str) -> str | None:
    """Read RFC 3339 strictly, as Time.UnmarshalText; gives its one canonical form, or ``None``."""
    found = _STRICT.fullmatch(text)
    if found is None:
        return None
    fields = found.groupdict()
    if int(fields["zone_hour"] or 0) > 23 or int(fields["zone_minute"] or 0) > 59:
        return None
    return _canonical(fields)


def whole_seconds(time: str) -> str:
    """Cut the fraction off a canonical time."""
    return re.sub(r"\.[0-9]+", "", time)


def _canonical(fields: dict[str, str | None]) -> str | None:
    year, month, day, hour, minute, second, zone_hour, zone_minute = (
        int(fields.get(name) or 0)
        for name in ("year", "month", "day", "hour", "minute", "second", "zone_hour", "zone_minute")
    )
    if not (
        1 <= month <= 12 and 1 <= day <= _days(year, month) and hour < 24 and minute < 60 and second < 60
    ):
        return None
    if zone_hour > 24 or zone_minute > 60:
        return None
    offset = zone_hour * 60 + zone_minute
    if offset >= 24 * 60:
        raise ValueError("a time zone of a day and more")
    # Go keeps nanoseconds, and cuts what is finer.
    fraction = (fields.get("fraction") or "")[:9].rstrip("0")
    zone = f"{fields.get('sign')}{offset // 60:02d}:{offset % 60:02d}" if offset else "Z"
    clock = f"{hour:02d}:{minute:02d}:{second:02d}{'.' if fraction else ''}{fraction}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}{zone}"


def _days(year: int, month: int) -> int:
    return 29 if month == 2 and calendar.isleap(year) else _MONTHS[month - 1]


__all__ = ["parse_rfc3339", "parse_yaml_time", "whole_seconds"]
