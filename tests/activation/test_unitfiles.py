"""The units for systemd: what systemd itself thinks of them, and what they let activation do."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from secretsmith.activation.units.files import ACTIVATE, IDENTITY, MOUNT, RETRY, SECRET, USERS, unit_files
from secretsmith.activation.units.quoting import argument, whole, word
from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest import Manifest, Scope, parse_manifest

PROGRAM = "/bin/true"  # systemd-analyze looks whether it is there
Peer = Callable[[str], str]


def manifest_of(*secrets: dict[str, Any], **top: Any) -> Manifest:
    tree = {
        "version": 1,
        "host": "web1",
        "directory": "/run/secrets",
        "generations": "/run/secrets.d",
        "identities": ["/etc/ssh/ssh_host_ed25519_key"],
        "secrets": [{"source": "/srv/sources/x.age", "format": "age", **secret} for secret in secrets],
    }
    return parse_manifest(json.dumps(tree | top).encode())


PLAIN = manifest_of({"name": "db"})
WITH_USERS = manifest_of({"name": "db", "path": "/etc/app/db"}, {"name": "hash", "phase": "users"})
ODD = manifest_of(
    {"name": "db", "path": "/etc/my app/50% o'clock $HOME/db"},
    identities=["/etc/ssh/ssh_host_ed25519_key", "/persist/a b%n$x"],
)
OF_A_USER = manifest_of(
    {"name": "db", "path": "$HOME/.config/db"},
    scope="user",
    directory="$XDG_RUNTIME_DIR/secrets",
    generations="$XDG_RUNTIME_DIR/secrets.d",
    identities=["$HOME/.ssh/id%1"],
)
ALL = {"plain": PLAIN, "users": WITH_USERS, "odd": ODD, "user": OF_A_USER}


def made(manifest: Manifest, path: str = "/etc/secretsmith/m.json", **more: Any) -> dict[str, str]:
    return unit_files(manifest, path, PROGRAM, **more)


def settings(text: str, name: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{name}=")]


def analyze(program: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def write(folder: Path, files: dict[str, str]) -> list[str]:
    for name, text in files.items():
        (folder / name).write_text(text)
    # A template is checked as one of its instances.
    return [str(folder / name.replace("@.", "@web-db.")) for name in files]


def verify(program: str, paths: Iterable[str], *options: str) -> str:
    runtime = {"XDG_RUNTIME_DIR": "/tmp"} if options else {}
    found = analyze(program, "verify", "--man=no", *options, *paths, **runtime)
    return found.stderr if found.returncode == 0 else f"{found.stderr}exit {found.returncode}"


@pytest.mark.parametrize("name", ALL)
def test_systemd_accepts_them(peer: Peer, tmp_path: Path, name: str) -> None:
    paths = write(tmp_path, made(ALL[name]))
    options = ("--user",) if ALL[name].scope is Scope.USER else ()
    assert verify(peer("systemd-analyze"), paths, *options) == ""


@pytest.mark.parametrize("name", [RETRY, IDENTITY])
def test_systemd_notices_a_timer_that_waits_for_what_waits_for_it(
    peer: Peer, tmp_path: Path, name: str
) -> None:
    files = made(PLAIN)
    files[name] = files[name].replace("DefaultDependencies=no\n", "")
    assert "ordering cycle" in verify(peer("systemd-analyze"), write(tmp_path, files))


def boot(peer: Peer, folder: Path, files: dict[str, str]) -> str:
    """What systemd says of the machine's own units with ours among them, enabled, and a disk to mount."""
    program = peer("systemd-analyze")
    write(folder, files)
    # systemd-remount-fs.service wants that target, on a machine with a root in fstab.
    mount = "[Unit]\nWants=local-fs-pre.target\nAfter=local-fs-pre.target\nBefore=local-fs.target\n[Mount]\nWhat=tmpfs\nWhere=/srv\n"
    (folder / "srv.mount").write_text(mount)
    wants = [("local-fs.target", "srv.mount")]
    wants += [(target, name) for name, text in files.items() for target in settings(text, "WantedBy")]
    for target, name in wants:
        (folder / f"{target}.wants").mkdir(exist_ok=True)
        (folder / f"{target}.wants" / name).symlink_to(folder / name)
    found = analyze(
        program, "verify", "--man=no", "multi-user.target", "sysinit.target", SYSTEMD_UNIT_PATH=f"{folder}:"
    )
    return "\n".join(line for line in found.stderr.splitlines() if "cycl" in line or "secretsmith" in line)


@pytest.mark.parametrize("manifest", [PLAIN, WITH_USERS], ids=["plain", "users"])
def test_the_boot_has_no_cycle(peer: Peer, tmp_path: Path, manifest: Manifest) -> None:
    assert boot(peer, tmp_path, made(manifest)) == ""


def test_users_cannot_wait_for_local_disks(peer: Peer, tmp_path: Path) -> None:
    files = made(WITH_USERS)
    files[USERS] = files[USERS].replace("After=systemd-remount-fs.service", "After=local-fs.target")
    assert "cycl" in boot(peer, tmp_path, files)


@pytest.mark.parametrize(("name", "most"), [(ACTIVATE, 2.5), (USERS, 2.5), (MOUNT, 4.5)])
def test_how_exposed_systemd_thinks_they_are(peer: Peer, tmp_path: Path, name: str, most: float) -> None:
    write(tmp_path, made(WITH_USERS))
    found = analyze(peer("systemd-analyze"), "security", "--no-pager", "--offline=true", str(tmp_path / name))
    (level,) = re.findall(r"exposure level for \S+ ([0-9.]+) ", found.stdout)
    assert float(level) <= most


def test_which_units_there_are() -> None:
    assert made(PLAIN).keys() == {ACTIVATE, MOUNT, RETRY, IDENTITY, SECRET}
    assert made(WITH_USERS).keys() == {ACTIVATE, MOUNT, USERS, RETRY, IDENTITY, SECRET}
    assert made(OF_A_USER).keys() == {ACTIVATE, RETRY, IDENTITY, SECRET}


def test_nothing_of_the_machine_requires_them() -> None:
    for manifest in ALL.values():
        for text in made(manifest).values():
            assert not re.search(r"^(RequiredBy|UpheldBy|BindsTo|Requisite)=", text, re.MULTILINE)
            # The only thing they cannot do without.
            assert not settings(text, "Requires")
    assert settings(made(PLAIN)[ACTIVATE], "WantedBy") == ["sysinit.target"]
    assert settings(made(OF_A_USER)[ACTIVATE], "WantedBy") == ["default.target"]


def test_what_mounts_has_no_mount_namespace() -> None:
    """Any of these gives a unit a mount namespace, and with it a mount that nobody else sees."""
    makers = re.compile(
        r"^(Private(Tmp|Devices|Mounts|Users|Network|IPC)|Protect\w+|ProcSubset|Read(Write|Only)Paths|InaccessiblePaths"
        r"|\w*BindPaths|TemporaryFileSystem|RootDirectory|RootImage|MountFlags|DynamicUser|\w+Directory)=",
        re.MULTILINE,
    )
    text = made(PLAIN)[MOUNT]
    assert not makers.search(text)
    assert makers.search(made(PLAIN)[ACTIVATE])
    assert settings(text, "ExecStart") == [f"{PROGRAM} --mount /etc/secretsmith/m.json"]
    # Not left active, or what somebody unmounts would not be mounted again.
    assert not settings(text, "RemainAfterExit")


def test_what_writes_cannot_mount() -> None:
    files = made(WITH_USERS)
    for name in (ACTIVATE, USERS):
        (capabilities,) = settings(files[name], "CapabilityBoundingSet")
        assert "CAP_SYS_ADMIN" not in capabilities
        assert settings(files[name], "SystemCallFilter") == ["@system-service"]
        assert "--no-mount" in settings(files[name], "ExecStart")[0]
        assert MOUNT in settings(files[name], "Wants")[0]
        assert MOUNT in settings(files[name], "After")[0]


@pytest.mark.parametrize("name", ["plain", "user"])
def test_values_stay_in_memory(name: str) -> None:
    files = made(ALL[name])
    for service in (text for unit, text in files.items() if unit.endswith(".service")):
        for setting in ("LimitCORE=0", "MemorySwapMax=0", "UMask=0077", "NoNewPrivileges=yes"):
            assert f"\n{setting}\n" in service


def test_order_at_boot() -> None:
    files = made(WITH_USERS)
    main, users = files[ACTIVATE], files[USERS]
    assert {"local-fs.target", "systemd-sysusers.service", USERS, MOUNT} <= set(
        settings(main, "After")[0].split()
    )
    assert "systemd-sysusers.service" in settings(users, "Before")[1]
    assert settings(main, "RequiresMountsFor") == ["/etc/secretsmith/m.json /etc/ssh/ssh_host_ed25519_key"]
    assert settings(users, "RequiresMountsFor") == []
    # Of all phases: what failed early gets its second chance here.
    assert settings(main, "ExecStart") == [f"{PROGRAM} --no-mount /etc/secretsmith/m.json"]
    assert settings(users, "ExecStart") == [f"{PROGRAM} --no-mount --phase users /etc/secretsmith/m.json"]


def test_a_source_on_a_broken_disk_does_not_stop_the_others() -> None:
    assert "/srv/sources" not in made(PLAIN)[ACTIVATE]


def test_it_may_write_where_the_manifest_says_and_nowhere_else() -> None:
    manifest = manifest_of(
        {"name": "a", "path": "/etc/app/a"},
        {"name": "b", "path": "/etc/app/deep/b"},
        {"name": "c", "path": "/etc/apps/c"},
        {"name": "d", "path": "/run/d"},
        {"name": "e", "phase": "users", "path": "/opt/e"},
    )
    files = made(manifest, placed=["/var/old/x"])
    assert settings(files[ACTIVATE], "ReadWritePaths") == [
        *("-/etc/app", "-/etc/apps", "-/opt", "-/run", "-/var/old")
    ]
    assert settings(files[USERS], "ReadWritePaths") == [
        *("-/opt", "-/run", "-/var/lib/secretsmith", "-/var/old")
    ]
    assert settings(files[ACTIVATE], "ProtectSystem") == ["strict"]
    elsewhere = manifest_of({"name": "a"}, directory="/mnt/x/secrets", generations="/mnt/y/secrets.d")
    assert settings(made(elsewhere)[ACTIVATE], "ReadWritePaths") == ["-/mnt/x", "-/mnt/y", "-/run"]


def test_missing_folders_are_made_outside_of_the_sandbox() -> None:
    files = made(WITH_USERS)
    assert settings(files[ACTIVATE], "ExecStartPre") == [
        f"-+{PROGRAM} --make-folders /etc/secretsmith/m.json"
    ]
    assert settings(files[USERS], "ExecStartPre") == []
    early = made(manifest_of({"name": "a", "phase": "users", "path": "/opt/a"}))[USERS]
    assert settings(early, "ExecStartPre") == [
        f"-+{PROGRAM} --make-folders --phase users /etc/secretsmith/m.json"
    ]
    # Without custom paths nothing is started for them.
    assert settings(made(PLAIN)[ACTIVATE], "ExecStartPre") == []


def test_a_path_right_below_the_root() -> None:
    files = made(manifest_of({"name": "a", "path": "/secret"}))
    assert settings(files[ACTIVATE], "ReadWritePaths") == ["-/"]


def test_pauses_grow() -> None:
    timer = made(PLAIN)[RETRY]
    units = {"s": 1, "min": 60, "h": 3600}
    found = [re.fullmatch(r"(\d+)([a-z]+)", text) for text in settings(timer, "OnActiveSec")]
    pauses = [int(match[1]) * units[match[2]] for match in found if match]
    assert pauses == sorted(set(pauses)) and pauses[0] <= 60 and pauses[-1] >= 8 * 3600
    assert settings(timer, "Unit") == [ACTIVATE]
    for name in (ACTIVATE, USERS):
        text = made(WITH_USERS)[name]
        assert settings(text, "OnFailure") == [RETRY]
        assert settings(text, "StartLimitIntervalSec") == ["0"]
        assert settings(text, "TimeoutStartSec") == ["90s"]


def test_keys_that_are_watched() -> None:
    assert settings(made(ODD)[IDENTITY], "PathChanged") == [
        "/etc/ssh/ssh_host_ed25519_key",
        "/persist/a b%%n$x",
    ]
    assert settings(made(OF_A_USER)[IDENTITY], "PathChanged") == ["%h/.ssh/id%%1"]
    assert "PathExists=" not in made(PLAIN)[IDENTITY]


def test_a_target_for_each_secret(peer: Peer) -> None:
    found = settings(made(WITH_USERS)[SECRET], "AssertPathExists")
    folders = ("/run/secrets", "/run/secrets-for-users")
    # All of them triggering: one that is true is enough.
    assert found == [f"|{folder}/{name}" for folder in folders for name in ("%i", "%I")]
    assert settings(made(OF_A_USER)[SECRET], "AssertPathExists") == ["|%t/secrets/%i", "|%t/secrets/%I"]
    for name in ("db-password", "web/db", "a.b/c+d%e@f"):
        escaped = analyze(peer("systemd-escape"), "--", name).stdout.strip()
        assert analyze(peer("systemd-escape"), "--unescape", "--", escaped).stdout.strip() == name


def test_paths_on_a_command_line() -> None:
    text = made(PLAIN, path="/etc/my $m/50%.json")[ACTIVATE]
    assert settings(text, "ExecStart") == [f'{PROGRAM} --no-mount "/etc/my $$m/50%%.json"']
    assert settings(text, "RequiresMountsFor") == ['"/etc/my $m/50%%.json" /etc/ssh/ssh_host_ed25519_key']


@pytest.mark.parametrize(
    "path", ['/a"b', "/a\\b", "/a\\", "/a ", "/a\nExecStart=/bin/evil", "/a\x1b", "/a\x85b"]
)
def test_paths_that_no_unit_can_hold(path: str) -> None:
    for quote in (whole, word, argument):
        with pytest.raises(RefusedInput) as caught:
            quote(path)
        assert caught.value.code is Code.UNITS
        assert "\n" not in caught.value.message
    with pytest.raises(RefusedInput):
        made(PLAIN, path=path)


def test_words() -> None:
    assert word("/a") == "/a"
    assert word("/a b", prefix="-") == '"-/a b"'
    assert word("/it's") == '"/it\'s"'
    assert whole("/a b%") == "/a b%%"
    assert whole("$HOME/a", Scope.USER) == "%h/a"
    assert whole("$HOMER/a", Scope.USER) == "$HOMER/a"
    assert whole("/x/$HOME/a", Scope.USER) == "/x/$HOME/a"


@pytest.mark.parametrize(("path", "program"), [("m.json", "/bin/true"), ("/m.json", "true")])
def test_relative_paths(path: str, program: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        unit_files(PLAIN, path, program)
    assert caught.value.code is Code.USAGE
