"""An age plugin for tests: speaks the protocol of https://c2sp.org/age-plugin, guards nothing, and misbehaves on demand.

It "wraps" a file key by writing it into the stanza. The first word of the key's data says what else it does; see ACTS.
Run as ``age-plugin-NAME --age-plugin=recipient-v1|identity-v1``. ``install`` puts it into a folder under some name.
"""

from __future__ import annotations

import base64
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

Stanza = tuple[str, list[str], bytes]

ACTS = (
    "plain",  # works
    "message",  # shows a message first
    "confirm",  # asks yes or no, works after yes
    "public",  # asks for public text and expects "blue"
    "passphrase",  # asks for hidden text and expects "open sesame"
    "error",  # reports an error
    "deny",  # finds no stanza of its own
    "hang",  # never answers
    "linger",  # starts a child that outlives it, then hangs
    "flood",  # never stops asking
    "gigabyte",  # sends a gigabyte
    "crash",  # ends in the middle
    "escape",  # sends a message with terminal control characters
    "environment",  # reports its environment as an error
)


def install(folder: Path, name: str) -> Path:
    """Install this file as ``age-plugin-NAME`` into ``folder``."""
    path = folder / f"age-plugin-{name}"
    path.write_text(f"#!{sys.executable} -I\n{Path(__file__).read_text()}")
    path.chmod(0o755)
    return path


def _read() -> Stanza:
    line = sys.stdin.readline()
    if not line:
        sys.exit(1)
    _, kind, *arguments = line.rstrip("\n").split(" ")
    text = ""
    while True:
        part = sys.stdin.readline().rstrip("\n")
        text += part
        if len(part) < 64:
            break
    return kind, arguments, base64.b64decode(text + "=" * (-len(text) % 4))


def _write(kind: str, *arguments: str, body: bytes = b"") -> None:
    text = base64.b64encode(body).decode().rstrip("=")
    lines = [text[start : start + 64] for start in range(0, len(text) + 1, 64)]
    sys.stdout.write("\n".join([" ".join(["->", kind, *arguments]), *lines, ""]))
    sys.stdout.flush()


def _ask(kind: str, *arguments: str, body: bytes = b"") -> Stanza:
    _write(kind, *arguments, body=body)
    return _read()


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")


def _refuse(why: str) -> NoReturn:
    _ask("error", "internal", body=why.encode())
    _write("done")
    sys.exit(0)


def _hang() -> NoReturn:
    while True:
        time.sleep(3600)


def _question(act: str) -> None:
    if act == "message":
        _ask("msg", body=b"touch the key")
    elif act == "escape":
        _ask("msg", body="a\x1b[2Jb\u202ec\nd".encode() + b"x" * 5000)
    elif act == "confirm":
        kind, arguments, _ = _ask("confirm", _b64("go on"), _b64("stop"), body=b"really?")
        if kind != "ok" or arguments != ["yes"]:
            _refuse("not confirmed")
    elif act == "public":
        if _ask("request-public", body=b"favourite colour")[2] != b"blue":
            _refuse("wrong colour")
    elif act == "passphrase" and _ask("request-secret", body=b"the words")[2] != b"open sesame":
        _refuse("wrong words")


def _misbehave(act: str) -> None:
    if act == "error":
        _refuse("it broke\x1b[31m")
    if act == "environment":
        _refuse(" ".join(sorted(os.environ)) + " fds " + " ".join(sorted(os.listdir("/proc/self/fd"))))
    if act == "linger":
        if os.fork() == 0:
            Path(os.environ["TMPDIR"], "linger.pid").write_text(str(os.getpid()))
        _hang()
    if act == "hang":
        _hang()
    if act == "crash":
        sys.stdout.write("-> msg\nAA")
        sys.exit(3)
    if act == "gigabyte":
        sys.stdout.write("-> msg\n")
        for _ in range(16384):
            sys.stdout.write(("A" * 64 + "\n") * 1008)
    while act == "flood":
        _ask("msg", body=b"again")


def _recipient(act: str, key: bytes, received: list[Stanza]) -> None:
    for index, (_, _, body) in enumerate(stanza for stanza in received if stanza[0] == "wrap-file-key"):
        if act != "deny":
            _ask("recipient-stanza", str(index), "fake", _b64(key.decode()), body=body)


def _identity(act: str, received: list[Stanza]) -> None:
    done = set()
    for kind, arguments, body in received:
        if (
            kind == "recipient-stanza"
            and arguments[1] == "fake"
            and act != "deny"
            and arguments[0] not in done
        ):
            done.add(arguments[0])
            _ask("file-key", arguments[0], body=body)


_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def _data(text: str) -> bytes:
    """The bytes of a bech32 key, its checksum unchecked."""
    number, bits = 0, 0
    for character in text.lower().rpartition("1")[2][:-6]:
        number, bits = number << 5 | _CHARSET.index(character), bits + 5
    return (number >> bits % 8).to_bytes(bits // 8, "big")


def _main() -> None:
    mode = sys.argv[1].removeprefix("--age-plugin=")
    received: list[Stanza] = []
    while (stanza := _read())[0] != "done":
        received.append(stanza)
    wanted = "add-recipient" if mode == "recipient-v1" else "add-identity"
    key = next(_data(arguments[0]) for kind, arguments, _ in received if kind == wanted)
    act = key.decode().split()[0]
    _question(act)
    _misbehave(act)
    if mode == "recipient-v1":
        _recipient(act, key, received)
    else:
        _identity(act, received)
    _write("done")


if __name__ == "__main__":
    _main()
