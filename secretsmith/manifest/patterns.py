"""What each text of a manifest may look like; the JSON schema holds the same patterns (a test compares them)."""

from __future__ import annotations

import re

_SEGMENT = r"(?!\.{1,2}(/|$))[A-Za-z0-9._@%+-]{1,255}"
_PATH = r"(?!.*/\.{1,2}(/|$))(/[^/\x00-\x1f\x7f]{1,255}){1,64}"
_HOME_PATH = r"(\$XDG_RUNTIME_DIR|\$HOME)?" + _PATH
PATTERNS = {
    "entry": rf"^{_SEGMENT}(/{_SEGMENT}){{0,7}}$",
    "principal": r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$",
    "path": rf"^{_PATH}$",
    "place": rf"^{_HOME_PATH}$",
    "account": r"^(0|[1-9][0-9]{0,9}|[A-Za-z_][A-Za-z0-9_.-]{0,254}\$?)$",
    # Three octal digits, a leading 0 if wanted; others never write, nobody gets a set-id bit.
    "mode": r"^0?[0-7]{2}[0145]$",
    "fingerprint": r"^SHA256:[A-Za-z0-9+/]{43}$",
    "ssh_tag": r"^[A-Za-z0-9+/]{6}$",
    "recipient": r"^age1[0-9a-z]{1,4000}$",
    "line": r"^[^\x00-\x1f\x7f]{1,1024}$",
    "key": r"^[^/\x00-\x1f\x7f]{1,255}(/[^/\x00-\x1f\x7f]{1,255}){0,63}$",
    # A unit name is an argument of systemctl, so it never begins with a dash.
    "unit": r"^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,240}\.(service|socket|timer|path|mount|target)$",
    # The part behind the last colon is systemd's name of it. Together they are a file's name, which has room for 255 bytes.
    "credential": r"^[A-Za-z0-9:_.@][A-Za-z0-9:_.@-]{0,140}\.(service|socket|mount):[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,79}$",
    "reference": r"^[a-z][a-z0-9-]{0,31}:[^\x00-\x1f\x7f]{1,1024}$",
    "duration": r"^[1-9][0-9]{0,5}[smhdw]$",
}
COMPILED = {name: re.compile(pattern[:-1] + r"\Z") for name, pattern in PATTERNS.items()}
