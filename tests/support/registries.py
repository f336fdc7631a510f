"""Registries as text, with cheap valid keys, for tests that need many."""

from __future__ import annotations

import base64
import hashlib


def ssh_line(seed: str, comment: str = "") -> str:
    """An ed25519 line that is well formed; nobody has its private key."""
    # The curve point is not checked when a registry is read; the last byte keeps it canonical and of full order.
    raw = hashlib.sha256(seed.encode()).digest()[:31] + b"\x11"
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + raw
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} {comment}".strip()


HEADER = "[secretsmith]\nversion = 1\n"


def user(name: str, *keys: str, more: str = "") -> str:
    lines = ", ".join(f'"{key}"' for key in keys or (ssh_line(name),))
    return f"[users.{name}]\nkeys = [{lines}]\n{more}\n"


def host(name: str, *keys: str, more: str = "") -> str:
    lines = ", ".join(f'"{key}"' for key in keys or (ssh_line(name),))
    return f"[hosts.{name}]\nkeys = [{lines}]\n{more}\n"


def rule(path: str, *readers: str, more: str = "") -> str:
    words = ", ".join(f'"{reader}"' for reader in readers)
    return f'[[rules]]\npath = "{path}"\nreaders = [{words}]\n{more}\n'


def fleet(hosts: int, rules: int) -> str:
    """A registry of many hosts, all in one group."""
    parts = [HEADER, user("alice", more="admin = true")]
    parts += [host(f"web{number}", more=f'address = "web{number}.example.org"') for number in range(hosts)]
    parts.append("[groups]\nall = [" + ", ".join(f'"web{number}"' for number in range(hosts)) + "]\n")
    parts += [rule(f"secrets/**/s{number}*", f"web{number}", "@all") for number in range(rules)]
    return "".join(parts)
