"""``secretsmith-activate MANIFEST``: a door for machines, run as root at boot; no library for command lines."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from shlex import quote

from secretsmith import __version__
from secretsmith.activation.accounts import Caller
from secretsmith.activation.engine import Options, activate
from secretsmith.activation.hardening import harden_process
from secretsmith.activation.kernel import forbid_dumps
from secretsmith.activation.ramdisk import Memory
from secretsmith.activation.report import Report
from secretsmith.activation.sources import read_regular
from secretsmith.activation.status import STATUS_FILE
from secretsmith.cli.boundary import report as report_error
from secretsmith.cli.render import PROGRAM, error_lines, printable
from secretsmith.cli.streams import hold_standard_descriptors, standard_streams
from secretsmith.errors import Code, ExitCode, RefusedInput, SecretsmithError
from secretsmith.manifest import MAX_MANIFEST_BYTES

USAGE = """\
usage: secretsmith-activate [options] MANIFEST

Install the secrets of a manifest (docs/reference/manifest.md) on this host. Asks nothing.

options:
  --no-mount      the filesystem in memory must be mounted already; never mount
  --status FILE   where to write the state of every secret (root: /run/secretsmith/status.json)
  --wait SECONDS  how long to wait for another activation (30)
  --owner-self    for a demo without root: every file belongs to you, whatever the manifest says
  --plain-folder  for a demo where mounting is forbidden: a folder on disk, NOT RAM
  --version, --help
"""
_OTHERS_WRITE = 0o022


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code. Hardens the whole process first."""
    hold_standard_descriptors()
    harden_process()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a draft is removed
    _, stdout, stderr = standard_streams()
    try:
        code, out, err = run(list(sys.argv[1:] if argv is None else argv))
        stderr.write("".join(f"{line}\n" for line in err).encode("utf-8", "backslashreplace"))
        stderr.flush()
        stdout.write("".join(f"{line}\n" for line in out).encode("utf-8", "backslashreplace"))
        stdout.flush()
    except BaseException as error:
        return int(report_error(error, stderr))
    return int(code)


def run(argv: Sequence[str]) -> tuple[ExitCode, list[str], list[str]]:
    """Do what the arguments say; return the exit code, the lines for standard output and those for standard error."""
    if "--help" in argv:
        return ExitCode.OK, USAGE.splitlines(), []
    if "--version" in argv:
        return ExitCode.OK, [f"secretsmith {__version__}"], []
    path, options = parse_arguments(argv)
    done = activate(read_manifest(path), options, shield=forbid_dumps)
    return done.exit_code, [f"{PROGRAM}: {printable(done.summary())}"], list(_lines(done))


def parse_arguments(argv: Sequence[str]) -> tuple[str, Options]:
    """Return the manifest's path and the options.

    Raises:
        RefusedInput: USAGE.
    """
    default = STATUS_FILE if _is_real_root() else None
    status, wait, memory, owner_self = default, 30.0, Memory.MOUNT, False
    paths: list[str] = []
    left = list(_separated(argv))
    while left:
        word = left.pop(0)
        if word in ("--status", "--wait"):
            value = _value(word, left)
            status, wait = (os.path.abspath(value), wait) if word == "--status" else (status, _seconds(value))
        elif word in ("--no-mount", "--plain-folder"):
            if memory is not Memory.MOUNT:
                raise _usage("--no-mount and --plain-folder exclude each other")
            memory = Memory.VERIFY if word == "--no-mount" else Memory.PLAIN_FOLDER
        elif word == "--owner-self":
            owner_self = True
        elif word.startswith("-"):
            raise _usage(f"unknown option {word}")
        else:
            paths.append(word)
    if len(paths) != 1:
        raise _usage("give exactly one manifest")
    return paths[0], Options(memory=memory, owner_self=owner_self, status=status, wait=wait)


def read_manifest(path: str) -> bytes:
    """Read the manifest. It says what root writes where, so nobody else may be able to change it.

    Raises:
        SecretsmithError: NOT_FOUND, ACCESS, NOT_REGULAR, TOO_BIG.
    """
    # A symlink is fine: whoever may run this as root names the file, and /etc on NixOS is made of links.
    data, found = read_regular(path, MAX_MANIFEST_BYTES, follow=True)
    if found.st_uid not in Caller.current().trusted or found.st_mode & _OTHERS_WRITE:
        raise SecretsmithError(
            Code.ACCESS,
            f"{path} can be changed by others (user {found.st_uid}, mode {found.st_mode & 0o7777:04o})",
            hints=(f"chown root {quote(path)}; chmod 644 {quote(path)}",),
            path=path,
        )
    return data


def _lines(done: Report) -> Iterator[str]:
    for remark in done.remarks():
        yield f"{PROGRAM}: note: {printable(remark)}"
    for error in done.errors():
        yield from error_lines(error)


def _separated(argv: Sequence[str]) -> Iterator[str]:
    """Turn ``--status=FILE`` into two words."""
    for word in argv:
        name, equals, value = word.partition("=")
        if equals and name in ("--status", "--wait"):
            yield from (name, value)
        else:
            yield word


def _value(option: str, left: list[str]) -> str:
    if not left:
        raise _usage(f"{option} wants a value")
    return left.pop(0)


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdigit() or int(text) > 3600:
        raise _usage("--wait wants whole seconds, at most 3600")
    return float(text)


def _usage(why: str) -> RefusedInput:
    return RefusedInput(Code.USAGE, why, hints=("secretsmith-activate --help",))


def _is_real_root() -> bool:
    # In a user namespace uid 0 is an ordinary user, who has no /run/secretsmith.
    caller = Caller.current()
    return caller.uid == 0 and caller.trusted == {0}


__all__ = ["main", "parse_arguments", "read_manifest", "run"]

if __name__ == "__main__":
    raise SystemExit(main())
