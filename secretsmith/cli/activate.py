"""``secretsmith-activate MANIFEST``: a door for machines, run as root at boot; no library for command lines."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import BinaryIO

from secretsmith import __version__
from secretsmith.activation.accounts import Caller
from secretsmith.activation.engine import Options, activate, begin, mount_only
from secretsmith.activation.folders import failed
from secretsmith.activation.hardening import harden_process
from secretsmith.activation.kernel import forbid_dumps, lock_memory
from secretsmith.activation.opening.sources import read_regular
from secretsmith.activation.outcome import Outcome
from secretsmith.activation.ramdisk import Memory
from secretsmith.activation.units.options import unit_options
from secretsmith.cli.boundary import report as report_error
from secretsmith.cli.render import PROGRAM, error_lines, printable
from secretsmith.cli.streams import hold_standard_descriptors, standard_streams
from secretsmith.errors import Code, ExitCode, RefusedInput, SecretsmithError
from secretsmith.manifest import MAX_MANIFEST_BYTES, Phase
from secretsmith.record import record, replace

USAGE = """\
usage: secretsmith-activate [options] MANIFEST

Install the secrets of a manifest (docs/reference/manifest.md) on this host. Asks nothing.

options:
  --dry-run       say what would happen; nothing is written or mounted
  --phase PHASE   users, services or initrd alone; without it, all that the manifest has
  --mount         only mount the filesystems in memory, for units that run the rest in a sandbox
  --make-folders  only make the missing folders of custom paths, for the same units
  --no-mount      the filesystem in memory must be mounted already; never mount
  --units HOW     how to tell units of changes: systemctl, nixos (the lists of switch-to-configuration) or none
  --write-units FOLDER
                  write the systemd units that run all this at boot, and what hands credentials to other units,
                  into /etc/systemd/system for instance
  --status FILE   where to write the state of every secret (root: /run/secretsmith/status.json)
  --paths FILE    where to remember custom paths over a reboot (root: /var/lib/secretsmith/paths.json)
  --wait SECONDS  how long to wait for another activation (30)
  --owner-self    for a demo without root: every file belongs to you, whatever the manifest says
  --plain-folder  for a demo where mounting is forbidden: a folder on disk, NOT RAM
  --version, --help
"""
_OTHERS_WRITE = 0o022
_WITH_VALUE = ("--status", "--paths", "--wait", "--phase", "--units", "--write-units")
_ACTIONS = {"--dry-run": "dry-run", "--mount": "mount", "--make-folders": "folders"}
_MEMORY = {"--no-mount": Memory.VERIFY, "--plain-folder": Memory.PLAIN_FOLDER}


@record
class Arguments:
    """A command line. ``action`` is ``activate``, ``dry-run``, ``mount``, ``folders`` or ``units``; ``folder`` is where units go."""

    manifest: str
    options: Options
    action: str = "activate"
    units: str | None = None
    folder: str | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code. Hardens the whole process first."""
    hold_standard_descriptors()
    environ = dict(os.environ)
    harden_process()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a draft is removed
    _, stdout, stderr = standard_streams()
    try:
        code, out, err = run(list(sys.argv[1:] if argv is None else argv), environ)
        try:
            _write(stderr, err)
            _write(stdout, out)
        except BrokenPipeError:
            raise
        except OSError as error:
            # The work is done; what came of it was not heard (a log on a full disk), so no success is claimed.
            report_error(failed(error, "standard output or error"), stderr)
            return int(code or ExitCode.ERROR)
    except BaseException as error:
        return int(report_error(error, stderr))
    return int(code)


def run(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[ExitCode, list[str], list[str]]:
    """Do what the arguments say; return the exit code, the lines for standard output and those for standard error.

    ``environ`` is the environment as it was; of it, only what says who runs this is used.
    """
    if "--help" in argv:
        return ExitCode.OK, USAGE.splitlines(), []
    if "--version" in argv:
        return ExitCode.OK, [f"secretsmith {__version__}"], []
    given = parse_arguments(argv)
    data = read_manifest(given.manifest)
    if given.action == "units":
        from secretsmith.cli.writeunits import write_units

        return ExitCode.OK, write_units(data, given.manifest, given.folder or "."), []
    options = replace(given.options, environ=environ)
    if given.action == "folders":
        from secretsmith.activation.units.waypoints import make_waypoints

        begun = begin(data, options)
        phase = options.phase
        concerned = begun.manifest if phase is None else begun.manifest.for_phase(phase)
        make_waypoints(concerned, begun.common.caller, begun.options.paths)
        return ExitCode.OK, [], []
    if given.action == "mount":
        return (
            ExitCode.OK,
            [f"{PROGRAM}: {printable(path)} is mounted" for path in mount_only(data, options)],
            [],
        )
    options = replace(options, units_for=lambda scope: unit_options(environ, scope, given.units))
    done = _do(given.action, data, options)
    return done.exit_code, [f"{PROGRAM}: {printable(line)}" for line in done.lines()], list(_lines(done))


def _write(stream: BinaryIO, lines: Sequence[str]) -> None:
    stream.write("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
    stream.flush()


def _do(action: str, data: bytes, options: Options) -> Outcome:
    if action == "dry-run":
        from secretsmith.activation.preview import dry_run

        return dry_run(data, options, shield=_shield)
    return activate(data, options, shield=_shield)


def _shield() -> None:
    forbid_dumps()
    lock_memory()


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Return what a command line asks for; raises RefusedInput USAGE."""
    values: dict[str, str] = {}
    flags: set[str] = set()
    paths: list[str] = []
    left = list(_separated(argv))
    while left:
        word = left.pop(0)
        if word in _WITH_VALUE:
            values[word] = _value(word, left)
        elif word in (*_MEMORY, "--owner-self", *_ACTIONS):
            flags.add(word)
        elif word.startswith("-"):
            raise _usage(f"unknown option {word}")
        else:
            paths.append(word)
    if len(paths) != 1:
        raise _usage("give exactly one manifest")
    actions = [name for name in (*_ACTIONS, "--write-units") if name in flags or name in values]
    for names in ([name for name in _MEMORY if name in flags], actions):
        if len(names) > 1:
            raise _usage(f"{' and '.join(names)} exclude each other")
    options = Options(
        memory=next((memory for name, memory in _MEMORY.items() if name in flags), Memory.MOUNT),
        owner_self="--owner-self" in flags,
        status=_absolute(values.get("--status")),
        paths=_absolute(values.get("--paths")),
        usual=True,
        wait=_seconds(values.get("--wait", "30")),
        phase=_phase(values.get("--phase")),
        source=os.path.abspath(paths[0]),
    )
    units = values.get("--units")
    if units not in (None, "systemctl", "nixos", "none"):
        raise _usage("--units wants systemctl, nixos or none")
    chosen = {**_ACTIONS, "--write-units": "units"}[actions[0]] if actions else "activate"
    return Arguments(paths[0], options, chosen, units, values.get("--write-units"))


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


def _lines(done: Outcome) -> Iterator[str]:
    for remark in done.notes():
        yield f"{PROGRAM}: note: {printable(remark)}"
    for error in done.errors():
        yield from error_lines(error)


def _separated(argv: Sequence[str]) -> Iterator[str]:
    """Turn ``--status=FILE`` into two words."""
    for word in argv:
        name, equals, value = word.partition("=")
        if equals and name in _WITH_VALUE:
            yield from (name, value)
        else:
            yield word


def _value(option: str, left: list[str]) -> str:
    if not left:
        raise _usage(f"{option} wants a value")
    return left.pop(0)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)


def _phase(name: str | None) -> Phase | None:
    if name is not None and name not in set(Phase):
        raise _usage(f"--phase wants one of {', '.join(Phase)}")
    return None if name is None else Phase(name)


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdigit() or int(text) > 3600:
        raise _usage("--wait wants whole seconds, at most 3600")
    return float(text)


def _usage(why: str) -> RefusedInput:
    return RefusedInput(Code.USAGE, why, hints=("secretsmith-activate --help",))


__all__ = ["Arguments", "main", "parse_arguments", "read_manifest", "run"]

if __name__ == "__main__":
    raise SystemExit(main())
