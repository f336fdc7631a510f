"""The systemd units that run activation: at boot, again after a failure, when a key appears, and to order other units on.

docs/reference/units.md says what each is for and how a service uses them. A test has systemd itself check them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from secretsmith.activation.units.credentials import ACTIVATING, credential_dropins
from secretsmith.activation.units.quoting import argument, whole, word
from secretsmith.activation.units.sandbox import (
    STATE_FOLDER,
    mount_sandbox,
    system_sandbox,
    user_sandbox,
    writable_folders,
)
from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest import Manifest, Phase, Scope

ACTIVATE = ACTIVATING
IDENTITY = "secretsmith-identity.path"
MOUNT = "secretsmith-mount.service"
RETRY = "secretsmith-retry.timer"
SECRET = "secretsmith-secret@.target"
USERS = "secretsmith-users.service"
UNIT_NAMES = (ACTIVATE, IDENTITY, MOUNT, RETRY, SECRET, USERS)
UNIT_HEADER = (
    "# Made by secretsmith-activate --write-units, which overwrites it; change it with systemctl edit.\n"
)
# Quick at first, for a key that is just being made; in the end seldom, for a host that waits for its administrator.
_PAUSES = ("30s", "2min", "8min", "30min", "1h", "2h", "4h", "8h", "16h")
_LAST_PAUSE = "12h"
# A step that hangs must not hold up the boot for long: sysinit.target waits for it. The lock alone may take 30 s.
_TIMEOUT = "90s"
_LOGGED = "SyslogIdentifier=secretsmith"
_EARLY = ("DefaultDependencies=no", "Conflicts=shutdown.target", "Before=shutdown.target")
# Local disks are mounted after sysusers (by way of local-fs-pre.target): what comes before users cannot wait for any.
_AFTER_ROOT = "After=systemd-remount-fs.service"
# Without a limit of starts: at that limit the path unit would fail too, and never look again.
_WHEN_IT_FAILS = (f"OnFailure={RETRY}", "StartLimitIntervalSec=0")

_Sections = Sequence[tuple[str, Sequence[str]]]


def unit_files(
    manifest: Manifest, manifest_path: str, program: str, *, placed: Iterable[str] = ()
) -> dict[str, str]:
    """Return file name → text of the units that activate ``manifest``, for the machine or for a user, as its scope says.

    The drop-ins of units that are handed credentials are among them, as ``UNIT.d/50-secretsmith.conf``.

    ``program`` is the path of secretsmith-activate, ``manifest_path`` where it will find the manifest; ``placed`` are
    custom paths that an earlier manifest had, so that the unit may remove what is there.

    Raises:
        RefusedInput: USAGE, a path is not absolute; UNITS, a path cannot be written into a unit.
    """
    for path in (manifest_path, program):
        if not path.startswith("/"):
            raise RefusedInput(Code.USAGE, f"a unit wants absolute paths, not {path!a}")
    if manifest.scope is Scope.USER:
        units = {ACTIVATE: _user_service(f"{argument(program)} {argument(manifest_path)}")}
    else:
        units = _system_services(manifest, manifest_path, argument(program), tuple(placed))
    units |= {
        RETRY: _retry(manifest),
        IDENTITY: _identity(manifest),
        SECRET: _secret(manifest),
    }
    return {name: _text(sections) for name, sections in units.items()} | credential_dropins(
        manifest, UNIT_HEADER
    )


def _text(sections: _Sections) -> str:
    parts = ("".join(f"{line}\n" for line in (f"[{name}]", *lines)) for name, lines in sections)
    return UNIT_HEADER + "\n" + "\n".join(parts)


def _system_services(
    manifest: Manifest, manifest_path: str, program: str, placed: tuple[str, ...]
) -> dict[str, _Sections]:
    has_users = any(entry.phase is Phase.USERS for entry in manifest.entries())
    where = argument(manifest_path)
    units = {MOUNT: _mount(manifest_path, f"{program} --mount {where}", has_users=has_users)}
    if has_users:
        folders = writable_folders(manifest, [Phase.USERS], (f"/var/lib/{STATE_FOLDER}/paths.json", *placed))
        command = f"{program} --no-mount --phase users {where}"
        before = _folders(manifest, [Phase.USERS], f"{program} --make-folders --phase users {where}")
        units[USERS] = _service(_before_users(), command, (*before, *system_sandbox(folders)))
    # All phases, that of users too: what could not be done early is then done late.
    folders = writable_folders(manifest, Phase, placed)
    state = (f"StateDirectory={STATE_FOLDER}", "StateDirectoryMode=0700")
    at_boot = _at_boot(manifest, manifest_path, has_users=has_users)
    settings = (
        *_folders(manifest, Phase, f"{program} --make-folders {where}"),
        *state,
        *system_sandbox(folders, manifest.credential_key),
    )
    units[ACTIVATE] = _service(at_boot, f"{program} --no-mount {where}", settings)
    return units


def _folders(manifest: Manifest, phases: Iterable[Phase], command: str) -> tuple[str, ...]:
    """Return the setting that makes missing folders of custom paths, outside of the sandbox, which cannot open up for them."""
    views = map(manifest.for_phase, phases)
    is_needed = any(entry.path is not None for view in views for entry in view.entries())
    return (f"ExecStartPre=-+{command}",) if is_needed else ()


def _mount(manifest_path: str, command: str, *, has_users: bool) -> _Sections:
    """Return the unit that mounts: one of its own, since what a sandboxed unit mounts is seen by nobody else.

    That goes for its ``ExecStartPre=+`` too, which has a mount namespace like the rest of the unit (tried with 252). It does
    not stay active, so that each activation mounts what somebody has unmounted.
    """
    when = (
        [_AFTER_ROOT] if has_users else ["After=local-fs.target", f"RequiresMountsFor={word(manifest_path)}"]
    )
    unit = [
        "Description=Filesystems in memory for secrets",
        *_EARLY,
        *when,
        "Before=sysinit.target",
        "StartLimitIntervalSec=0",
    ]
    service = [
        "Type=oneshot",
        f"ExecStart={command}",
        f"TimeoutStartSec={_TIMEOUT}",
        _LOGGED,
        *mount_sandbox(),
    ]
    return (("Unit", unit), ("Service", service))


def _at_boot(manifest: Manifest, manifest_path: str, *, has_users: bool) -> list[str]:
    needed = " ".join(word(path) for path in (manifest_path, *manifest.identities))
    before = f"{MOUNT} {USERS}" if has_users else MOUNT
    return [
        "Description=Secrets of this host",
        *_EARLY,
        # Wanted, not required: if one of them fails, activation itself says what is missing, and does the rest.
        f"Wants={before}",
        # Owners exist after sysusers, folders on the way to custom paths after tmpfiles.
        f"After={before} local-fs.target systemd-sysusers.service systemd-tmpfiles-setup.service",
        "Before=sysinit.target",
        # Not for sources: one on a disk that is broken would take all the others with it.
        f"RequiresMountsFor={needed}",
        *_WHEN_IT_FAILS,
    ]


def _before_users() -> list[str]:
    return [
        "Description=Secrets that are needed before users exist",
        *_EARLY,
        f"Wants={MOUNT}",
        f"After={MOUNT}",
        _AFTER_ROOT,
        "Before=systemd-sysusers.service sysinit.target",
        *_WHEN_IT_FAILS,
    ]


def _service(unit: list[str], command: str, sandbox: Sequence[str]) -> _Sections:
    return (
        ("Unit", unit),
        ("Service", [*_run(command, ""), *sandbox]),
        # Wanted, never required: with every secret broken, the machine still starts.
        ("Install", ["WantedBy=sysinit.target"]),
    )


def _run(command: str, scope: str) -> list[str]:
    return [
        "Type=oneshot",
        "RemainAfterExit=yes",
        f"ExecStart={command}",
        # Reached only when all is well: nothing is to be tried again then. Not waited for, since this holds up the boot.
        f"ExecStartPost=-systemctl {scope}--no-block stop {RETRY}",
        f"TimeoutStartSec={_TIMEOUT}",
        _LOGGED,
    ]


def _user_service(command: str) -> _Sections:
    return (
        ("Unit", ["Description=Secrets of this user", *_WHEN_IT_FAILS]),
        ("Service", [*_run(command, "--user "), *user_sandbox()]),
        ("Install", ["WantedBy=default.target"]),
    )


def _retry(manifest: Manifest) -> _Sections:
    timer = [
        *(f"OnActiveSec={pause}" for pause in _PAUSES),
        f"OnUnitInactiveSec={_LAST_PAUSE}",
        "AccuracySec=5s",
        # So that the next failure begins the series anew.
        "RemainAfterElapse=no",
        f"Unit={ACTIVATE}",
    ]
    return (
        ("Unit", ["Description=Tries again to install secrets that are stale or missing", *_early(manifest)]),
        ("Timer", timer),
    )


def _identity(manifest: Manifest) -> _Sections:
    # PathChanged, not PathExists: that starts the service over and over while the key is there and does not help.
    watched = [f"PathChanged={whole(path, manifest.scope)}" for path in manifest.identities]
    description = "Description=Installs secrets when the key that opens them appears or changes"
    return (
        ("Unit", [description, *_early(manifest)]),
        ("Path", [*watched, f"Unit={ACTIVATE}"]),
        ("Install", ["WantedBy=paths.target"]),
    )


def _early(manifest: Manifest) -> Sequence[str]:
    # systemd puts timers and paths before what they start, and by default after sysinit.target, which comes after that.
    return () if manifest.scope is Scope.USER else (*_EARLY, "After=local-fs.target")


def _secret(manifest: Manifest) -> _Sections:
    phases = [
        phase
        for phase in (Phase.SERVICES, Phase.USERS)
        if phase is Phase.SERVICES or any(entry.phase is phase for entry in manifest.entries())
    ]
    places = [whole(manifest.for_phase(phase).directory, manifest.scope) for phase in phases]
    # One of them is enough. %I is what systemd-escape stands for (web-db for web/db); %i is the name as it is written, so
    # that a plain name with a dash needs no escaping.
    found = [f"AssertPathExists=|{place}/{name}" for place in places for name in ("%i", "%I")]
    return (
        (
            "Unit",
            ["Description=The secret %i is installed", f"Wants={ACTIVATE}", f"After={ACTIVATE}", *found],
        ),
    )


__all__ = [
    "ACTIVATE",
    "IDENTITY",
    "MOUNT",
    "RETRY",
    "SECRET",
    "UNIT_HEADER",
    "UNIT_NAMES",
    "USERS",
    "unit_files",
]
